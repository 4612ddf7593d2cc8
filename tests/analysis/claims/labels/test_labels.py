"""The study of labels gives both starts the same, chooses learning rates by what is left out, and reports by hand."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmswinv2.analysis.claims import labels
from mmswinv2.analysis.claims.labels import FULL, Plan, best_rates, beyond, fine_tuning, score, try_rates
from mmswinv2.analysis.claims.labels.losses import held_out_losses, measured_losses
from mmswinv2.analysis.claims.labels.report import Curve, draw, loss_table, rate_table, score_table, trial_table
from mmswinv2.analysis.claims.labels.tasks import (
    NUCLEI_BOXES,
    NUCLEI_MAPS,
    NUCLEI_PRETRAINING,
    PHOTO_PRETRAINING,
    Pretraining,
    nuclei_classes,
)
from mmswinv2.analysis.claims.labels.trials import MASKS, RATES, Setting, simmim_trials
from mmswinv2.analysis.study import CONFIGS, Measurement, Study, Trained, Training

from ....support import ROOT, shared_data

PLAN = Plan((NUCLEI_MAPS,), shares=(5, 100), percents=(10,), widths=(32,))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study whose measurements are not done: each is worth less, the farther its learning rate is from the best.

    The best is 1e-3 from scratch and 2.5e-4 from SimMIM, and a factor of two costs 1.
    """

    def run(measurements: Sequence[Measurement]) -> dict[str, Any]:
        return {one.name: worth(one.training) for one in measurements}

    study = Study(tmp_path, {})
    monkeypatch.setattr(study, "run", run)
    return study


def worth(training: Training) -> float:
    rate = dict(training.options)["optim_wrapper.optimizer.lr"]
    return -abs(math.log2(rate / (2.5e-4 if training.needs else 1e-3)))


def own_options(training: Training) -> dict[str, Any]:
    """The settings of a training but for the multipliers of the gains."""
    return {key: value for key, value in training.options if "custom_keys" not in key}


@pytest.mark.parametrize("task", [NUCLEI_BOXES, NUCLEI_MAPS], ids=lambda task: task.slug)
def test_both_starts_have_the_same_labels_and_length(task: Any, study: Study) -> None:
    scratch, simmim = (fine_tuning(study, PLAN, task, start, 10, 1, 1e-3) for start in ("scratch", "SimMIM"))
    assert scratch.config == simmim.config
    assert own_options(scratch) == own_options(simmim)
    assert scratch.backbone_start is None
    assert simmim.backbone_start is not None
    assert simmim.backbone_start.config == "analysis/labels_simmim-nuclei.py"


def test_no_two_tasks_share_a_work_dir() -> None:
    """Or one would take the other's trainings for its own: some of their learning rates are the same."""
    slugs = [task.slug for task in FULL.tasks]
    assert len(slugs) == len(set(slugs))


def test_the_gains_of_simmim_learn_as_fast_as_all_else(study: Study) -> None:
    """And those from scratch ten times as fast, but no other part of the backbone, in every config of the study."""
    for task in FULL.tasks:
        config = Config.fromfile(CONFIGS / task.config)
        init_default_scope(config.default_scope)
        config.model.backbone.frozen_stages = -1
        model = MODELS.build(config.model)
        for faster in (r"backbone\.layers\.\d\.blocks\.\d\.norm[12]\.(weight|bias)", "nothing"):
            rates = {rate: names for rate, names in rates_by_name(model, config).items() if rate != 1}
            found = {name for names in rates.values() for name in names if name.startswith("backbone")}
            expected = {name for name, _ in model.named_parameters() if re.fullmatch(faster, name)}
            assert found == expected, task.name
            config.merge_from_dict(dict(labels.FROM_SIMMIM))


def rates_by_name(model: nn.Module, config: Config) -> dict[float, set[str]]:
    """Names of the parameters by the factor of their learning rate."""
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates: dict[float, set[str]] = {}
    for group in wrapper.optimizer.param_groups:
        factor = round(group["lr"] / config.optim_wrapper.optimizer.lr, 6)
        rates.setdefault(factor, set()).update(names[id(parameter)] for parameter in group["params"])
    return rates


def test_simmim_has_the_backbone_of_every_task() -> None:
    """Of each SimMIM every tensor of the backbone is in the models that start from it."""
    for task in FULL.tasks:
        shapes = []
        for name in (task.pretraining.config, task.config):
            config = Config.fromfile(CONFIGS / name)
            init_default_scope(config.default_scope)
            state = MODELS.build(config.model).backbone.state_dict()
            shapes.append({key: value.shape for key, value in state.items()})
        assert shapes[0].items() <= shapes[1].items(), task.name


def test_each_start_gets_the_learning_rate_that_is_best_on_images_left_out(study: Study) -> None:
    """Of 5e-4, 1e-3 and 2e-3 the best from scratch lies inside. From SimMIM it is the lowest, so others are tried."""
    rates = try_rates(study, PLAN, seed=0)
    assert rates == {
        ("nuclei, maps", "scratch"): pytest.approx({5e-4: -1, 1e-3: 0, 2e-3: -1}),
        ("nuclei, maps", "SimMIM"): pytest.approx({1.25e-4: -1, 2.5e-4: 0, 5e-4: -1, 1e-3: -2, 2e-3: -3}),
    }
    best = best_rates(rates)
    assert best == {("nuclei, maps", "scratch"): 1e-3, ("nuclei, maps", "SimMIM"): 2.5e-4}
    scores = score(study, PLAN, range(2), best, (10, 5))
    assert scores == {("nuclei, maps", start, percent): [0, 0] for percent in (10, 5) for start in labels.STARTS}


@pytest.mark.parametrize(
    ("tried", "next_rates"),
    [
        ({1: 0.5, 2: 0.4, 4: 0.3}, [0.5]),
        ({1: 0.3, 2: 0.4, 6: 0.5}, [18]),
        ({1: 0.3, 2: 0.5, 4: 0.4}, []),
        ({1: 0.3, 2: 0.3, 4: 0.3}, []),  # nothing is learnt: no reason to go on
        ({1: 0.3}, []),
    ],
)
def test_a_rate_beyond_is_tried_where_the_best_is_at_an_end(tried: dict[float, float], next_rates: list[float]) -> None:
    assert beyond(tried) == next_rates


def test_images_left_out_are_all_but_the_subset(study: Study) -> None:
    try_rates(study, PLAN, seed=0)
    lists = study.work_dir / "lists"
    trained_on, left_out = (
        set((lists / f"nuclei-maps_{name}.txt").read_text().split()) for name in ("10_seed0", "left-out")
    )
    assert len(trained_on) == 31
    assert len(left_out) == 312 - 31
    assert trained_on.isdisjoint(left_out)


def test_loss_curves_are_of_nested_images_and_of_models_that_build(tmp_path: Path) -> None:
    lists, channels = {}, {}
    for cell, measured in measured_losses(tmp_path, (10, 100), (32, 64), ()):
        assert measured.held_out.training == measured.seen.training
        config = Config.fromfile(CONFIGS / measured.seen.training.config)
        config.merge_from_dict(dict(measured.seen.training.options))
        images = config.train_dataloader.dataset.ann_file
        lists[cell] = set(Path(images).read_text().split()) if images else set(nuclei_classes())
        channels[cell] = MODELS.build(config.model).mask_token.numel()
    assert {cell: len(images) for cell, images in lists.items()} == {
        (10, 32): 31,
        (100, 32): 312,
        (10, 64): 31,
        (100, 64): 312,
    }
    assert lists[10, 32] == lists[10, 64] < lists[100, 32] == lists[100, 64]
    assert channels == {(10, 32): 32, (100, 32): 32, (10, 64): 64, (100, 64): 64}


def test_the_loss_curve_of_all_images_is_that_of_the_tasks_own_simmim(tmp_path: Path) -> None:
    trainings = {cell: measured.seen.training for cell, measured in measured_losses(tmp_path, (10, 100), (32, 64), ())}
    assert trainings[100, 32] == NUCLEI_PRETRAINING.training(tmp_path, ())
    assert len({training.name for training in trainings.values()}) == 4


def test_a_loss_curve_is_read_from_the_validations(tmp_path: Path) -> None:
    folder = tmp_path / "20260101_000000/vis_data"
    folder.mkdir(parents=True)
    records = [{"iter": 1, "step": 1, "loss": 9}, *({"reconstruction/l1": 1 / step, "step": step} for step in (1, 2))]
    (folder / "scalars.json").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    assert held_out_losses(Trained(CONFIGS / "x.py", (), tmp_path, tmp_path / "iter_2.pth")) == [(1, 1.0), (2, 0.5)]


@pytest.mark.parametrize("simmim", [NUCLEI_PRETRAINING, PHOTO_PRETRAINING], ids=lambda simmim: simmim.name)
def test_trials_of_simmim_have_the_settings_that_the_report_gives_them(simmim: Pretraining, tmp_path: Path) -> None:
    """And the last one, which is the SimMIM itself, has those of its config."""
    tried = dict(simmim_trials(replace(simmim, list_images=lambda files: ()), tmp_path, RATES, MASKS, ()))
    for setting, measurement in tried.items():
        config = Config.fromfile(CONFIGS / simmim.config)
        config.merge_from_dict(dict(measurement.training.options))
        for loader in (config.train_dataloader, config.val_dataloader):
            assert loader.dataset.pipeline[2].mask_patch_size == setting.mask
        assert config.optim_wrapper.optimizer.lr == setting.rate
        assert config.train_cfg.max_iters == config.param_scheduler[1].end == setting.iterations
    names = [measurement.training.name for measurement in tried.values()]
    assert names[-1] == simmim.name
    assert len(set(names)) == len(names) == len(RATES) + len(MASKS)  # the config's rate and mask are a trial of both


SCORES: Mapping[tuple[str, str, int], Sequence[float]] = {
    ("flowers", "scratch", 10): [0.4, 0.5],
    ("flowers", "SimMIM", 10): [0.5, 0.8],
    ("flowers", "scratch", 5): [0.3, 0.3],
    ("flowers", "SimMIM", 5): [0.3, 0.2],
}


def test_tables_by_hand() -> None:
    """Gains seed by seed: 0.1 and 0.3 have the mean 0.2 and the error 0.1."""
    _, _, five, ten = score_table(SCORES).splitlines()
    assert five == "| flowers | 5 | 0.300 ± 0.000 | 0.250 ± 0.050 | -0.050 ± 0.050 | -1.0 |"
    assert ten == "| flowers | 10 | 0.450 ± 0.050 | 0.650 ± 0.150 | 0.200 ± 0.100 | +2.0 |"
    rates = rate_table({("flowers", "scratch"): {5e-4: 0.25, 1e-3: 0.5}})
    assert rates.splitlines()[2] == "| flowers | scratch | 0.0005: 0.250, 0.001: 0.500 |"
    trials = trial_table({Setting("simmim-nuclei", 4000, 1.5e-3, 16): [0.25, 0.5, 0.75]})
    assert trials.splitlines()[2] == "| simmim-nuclei | 0.0015 | 16 px | 4000 | 0.2500 | 0.5000 | 0.7500 | 0.5000 |"
    losses = loss_table({(10, 32): Curve([(100, 0.5), (200, 0.25), (300, 0.375)], seen=0.25)})
    assert "on the 10 % that all have seen" in losses.splitlines()[0]
    assert losses.splitlines()[2] == "| 10 | 32 | 0.2500 (200) | 0.3750 (300) | 0.2500 | +0.1250 |"


def test_figure_has_a_panel_a_task_and_the_losses() -> None:
    """Shares ascend, whatever the order in which they were measured."""
    panels = draw(SCORES, {(10, 32): Curve([(100, 0.5), (200, 0.25)], 0.2)}).axes
    assert [panel.get_title() for panel in panels] == ["flowers", "SimMIM of nuclei"]
    scratch, simmim = panels[0].containers
    assert list(scratch.lines[0].get_xdata()) == [5, 10]
    assert list(simmim.lines[0].get_ydata()) == [0.25, 0.65]
    assert len(draw(SCORES, {}).axes) == 1


@pytest.mark.full
def test_quick_study(tmp_path: Path) -> None:
    """From another folder, as a user runs it."""
    shared_data("flowers5")
    command = [sys.executable, str(ROOT / "tools/analysis/labels.py"), "--quick", "--seeds", "2"]
    subprocess.run([*command, "--work-dir", str(tmp_path / "work")], cwd=tmp_path, check=True)
    table = (tmp_path / "work/table.md").read_text()
    for row in (
        "| flowers | 10 |",
        "| nuclei, boxes | 10 |",
        "| flowers | SimMIM | 0.0005: ",
        "| 10 | 64 |",
        "| simmim-nuclei | 0.0015 | 16 px | 4000 |",
    ):
        assert row in table
    assert (tmp_path / "work/figure.png").stat().st_size > 10_000
