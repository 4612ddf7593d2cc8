"""The study of position biases: what it trains and tests, and what its tables say of made-up numbers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import save_checkpoint

from mmswinv2 import SwinTransformerV2
from mmswinv2.analysis.claims.position_bias.curves import FARTHEST, curves
from mmswinv2.analysis.claims.position_bias.plan import FACTORS, KEPT_TABLE, NO_BIAS, Plan, key, windows
from mmswinv2.analysis.claims.position_bias.report import figure, tables
from mmswinv2.analysis.claims.position_bias.tasks import TASKS
from mmswinv2.analysis.study import CONFIGS, ROOT, Options, Trained
from mmswinv2.analysis.study_cli import Choices
from mmswinv2.layers import POSITION_BIASES
from mmswinv2.preflight import check_settings

from ... import reference

FULL = Plan(Choices(quick=False, seeds=range(3), work_dir=Path()))
QUICK = Plan(Choices(quick=True, seeds=range(2), work_dir=Path()))


def config_of(task: str, options: Options) -> Config:
    cfg = Config.fromfile(CONFIGS / TASKS[task].config)
    cfg.merge_from_dict(dict(options))
    return cfg


def test_every_model_is_measured_at_all_factors_and_windows() -> None:
    """4 tasks, 3 biases, 3 seeds: 5 factors, 6 other windows, no bias, 4 fine-tunings. The curves of SimMIM's 9.

    The 12 tables a second time at all factors and windows, without resizing.
    """
    measurements = list(FULL.measurements())
    assert len({one.name for one in measurements}) == len(measurements) == 36 * (5 + 6 + 1 + 4) + 9 + 12 * (5 + 6)
    assert len({one.training.name for one in measurements}) == 36


def test_a_report_may_have_the_first_tasks_alone() -> None:
    """Written before the others are begun, which take hours."""
    measured = {one.name.partition(" ")[0] for one in FULL.of_first_tasks(2).measurements()}
    assert measured - {"curves"} == {"simmim", "flowers"} and len(FULL.tasks) == 4


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
@pytest.mark.parametrize("task", TASKS)
def test_the_settings_of_every_run_hold_together(task: str, plan: Plan) -> None:
    """What would stop a run hours later: a key that nothing reads, a schedule that does not fit its length."""
    for bias in POSITION_BIASES:
        cfg = config_of(task, plan.training(task, bias, 1).options)
        assert cfg.randomness.seed == 1 and cfg.model.backbone.position_bias == bias
        check_settings(cfg, training=True)
    for factor in FACTORS[1:]:
        tuned = (*plan.enlarged(task, factor), *plan.tuning(task, factor))
        check_settings(config_of(task, tuned), training=True)


@pytest.mark.parametrize("task", TASKS)
def test_a_window_alone_is_no_larger_than_a_map_where_all_images_have_one_size(task: str) -> None:
    """As V1 builds its models for one size: else it would resize the last stage's table for nothing."""
    config = config_of(task, ())
    wanted = windows((16, 8), TASKS[task].maps)
    if TASKS[task].maps is None:
        assert wanted == (16, 8)
        return
    side = config.test_dataloader.dataset.pipeline[1].input_size
    assert TASKS[task].maps == tuple(side // 2**stage for stage in (2, 3, 4))
    assert wanted == [(16, 8), (16, 8), (8, 8)]
    backbone = config.model.backbone
    model = MODELS.build({**backbone, "window_size": wanted})
    images = torch.randn(1, 3, side, side)
    larger = MODELS.build({**backbone, "window_size": (16, 8)})
    larger.load_state_dict(reference.randomize_(model.eval()).state_dict())
    for one, other in zip(model(images), larger.eval()(images), strict=True):
        torch.testing.assert_close(one, other)


def test_masks_grow_with_the_image() -> None:
    """At 1.5 times 128 px, squares of 24 px hide as large a part as those of 16 px did."""
    cfg = config_of("simmim", (*FULL.enlarged("simmim", 1.5), *FULL.tuning("simmim", 1.5)))
    for loader in (cfg.test_dataloader, cfg.train_dataloader):
        _, resize, mask = loader.dataset.pipeline
        assert (resize.input_size, mask.input_size, mask.mask_patch_size) == (192, 192, 24)


def test_crops_and_images_grow_together() -> None:
    cfg = config_of("camvid", (*FULL.enlarged("camvid", 2.0), *FULL.tuning("camvid", 2.0)))
    assert cfg.model.backbone.window_size == 16
    assert cfg.test_dataloader.dataset.pipeline[1].scale == (480, 360)
    assert cfg.train_dataloader.dataset.pipeline[2].scale == (480, 360)
    assert cfg.train_dataloader.dataset.pipeline[3].crop_size == cfg.model.data_preprocessor.size == (256, 256)
    assert cfg.train_dataloader.batch_size == 2  # a quarter of the 8


def made_up() -> dict[str, object]:
    """Measurements in which log-CPB is better than the table by 0.10 and 0.20, and equal to linear CPB."""
    values: dict[str, object] = {}
    for seed, worse in ((0, 0.1), (1, 0.2)):
        for bias in POSITION_BIASES:
            loss = {"reconstruction/l1": 0.5 + seed + (worse if bias == "table" else 0)}
            for factor in QUICK.factors:
                values[key("simmim", bias, seed, factor)] = loss
                values[key("simmim", bias, seed, factor, tuned=True)] = loss
            for window in QUICK.other_windows:
                values[key("simmim", bias, seed, window)] = loss
            values[key("simmim", bias, seed, NO_BIAS)] = {"reconstruction/l1": 0.7 + seed + worse}
            values[f"curves {bias} {seed}"] = [[0.0] * FARTHEST] * 3
        for place in (*QUICK.factors, *QUICK.other_windows):
            values[key("simmim", KEPT_TABLE, seed, place)] = {"reconstruction/l1": 0.5 + seed}
    return values


def test_differences_are_paired_and_positive_where_log_cpb_is_better() -> None:
    """A lower loss is better. Differences of 0.10 and 0.20: mean 0.15, error 0.05, 3 errors, whatever the seeds add."""
    text = "\n".join(tables(QUICK, made_up()))
    assert "| log-CPB against table | +0.1500 (+3.0) | +0.1500 (+3.0) | +0.1500 (+3.0) |" in text
    assert "| log-CPB against linear CPB | +0.0000 (+0.0) | +0.0000 (+0.0) | +0.0000 (+0.0) |" in text
    assert "| log-CPB | 1.0000 ± 0.5000 |" in text
    assert "| log-CPB against table, not resized | +0.0000 (+0.0) | +0.0000 (+0.0) |  |" in text  # not fine-tuned


def test_what_a_model_loses_without_its_bias_is_paired() -> None:
    """Losses of 0.5 and 1.5 with the table's 0.1 and 0.2 on them, and 0.7 and 1.7 plus ``worse`` without the bias."""
    text = "\n".join(tables(QUICK, made_up()))
    assert "| table | 1.1500 ± 0.5500 | 1.3500 ± 0.5500 | +0.2000 (" in text


def test_every_table_has_a_line_of_its_own_above_it() -> None:
    parts = list(tables(QUICK, made_up()))
    above = [parts[at - 1] for at, part in enumerate(parts) if part.startswith("|")]
    assert len(set(above)) == len(above) == 3 and not any(line.startswith("|") for line in above)


def test_the_figure_has_a_panel_for_the_task_and_one_for_each_stage(tmp_path: Path) -> None:
    drawn = figure(QUICK, made_up())
    assert len(drawn.get_axes()) == 1 + 3
    drawn.savefig(tmp_path / "figure.png")


@pytest.mark.parametrize("position_bias", POSITION_BIASES)
def test_curves_are_the_bias_of_the_first_blocks(position_bias: str, tmp_path: Path) -> None:
    """Along a row of tokens, less the bias of a token to itself, mean over heads, at 3 times the window."""
    arch = {"embed_dims": 16, "depths": (2, 2, 2), "num_heads": (1, 2, 4)}
    settings = {"arch": arch, "position_bias": position_bias, "out_indices": (2,)}
    model = reference.randomize_(SwinTransformerV2(window_size=8, **settings))
    path = tmp_path / "model.pth"
    save_checkpoint({"state_dict": model.state_dict(), "meta": {}}, str(path))
    lines = curves(Trained(Path(), (), tmp_path, path))
    larger = SwinTransformerV2(window_size=FARTHEST, **settings)
    larger.load_state_dict(model.state_dict())
    for stage, line in enumerate(lines):
        attention = larger.layers[stage].blocks[0].attn
        bias = attention.position_bias.bias((FARTHEST, FARTHEST), torch.tensor([8, 8]))
        row = bias.reshape(-1, FARTHEST, FARTHEST, FARTHEST, FARTHEST)[:, 0, :, 0, 0]  # of token x to token 0
        torch.testing.assert_close(torch.tensor(line), (row - row[:, :1]).mean(0), atol=1e-5, rtol=0)


@pytest.mark.full
def test_a_quick_study_runs_and_draws(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "tools/analysis/position_bias.py", "--quick", "--work-dir", tmp_path], check=True
    )
    table = (tmp_path / "table.md").read_text()
    assert "log-CPB against table" in table and (tmp_path / "figure.png").stat().st_size > 10_000
