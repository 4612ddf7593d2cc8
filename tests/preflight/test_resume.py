"""A run goes on with the config it had, or the keys that differ are named; a new run needs a work dir of its own."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmswinv2.checkpoint import numbered_checkpoints
from mmswinv2.errors import CheckpointError, ConfigError
from mmswinv2.preflight import check_new_run, check_resumed_config

from ..engine.tiny_training import CLASSIFIER, EPOCHS, ITERATIONS, SIMMIM, training
from ..support import ROOT

RECIPES = sorted(path for path in (ROOT / "configs").glob("*/*.py") if path.parent.name != "_base_")


@pytest.fixture
def upernet(monkeypatch: pytest.MonkeyPatch) -> Config:
    """Config of the tiny UPerNet."""
    monkeypatch.setenv("TINY_ROOT", "data")
    return Config.fromfile(ROOT / "tests/cli/tiny_upernet.py")


def checkpoint(path: Path, cfg: Config | None, epoch: int = 0, done: int = 4, **content: Any) -> str:
    """A checkpoint as MMEngine writes it, of a run with this config."""
    meta = {"epoch": epoch, "iter": done, **({} if cfg is None else {"cfg": cfg.pretty_text})}
    torch.save({"meta": meta, "state_dict": {"w": torch.zeros(2)}, "message_hub": {}, **content}, path)
    return str(path)


def merged(cfg: Config, options: dict[str, Any]) -> Config:
    """The config after ``--cfg-options``."""
    changed = copy.deepcopy(cfg)
    changed.merge_from_dict(options)
    return changed


FATAL = {
    "another model": ({"model.type": "MaskRCNN"}, "model.type: 'EncoderDecoder' -> 'MaskRCNN'"),
    "other classes": ({"model.decode_head.num_classes": 7}, "model.decode_head.num_classes: 3 -> 7"),
    "another size": ({"model.backbone.arch.embed_dims": 32}, "model.backbone.arch.embed_dims: 24 -> 32"),
    "a head less": ({"model.auxiliary_head": None}, "model.auxiliary_head.type: 'FCNHead' -> not set"),
    "other groups of parameters": (
        {"optim_wrapper.paramwise_cfg": dict(norm_decay_mult=0.0)},
        "optim_wrapper.paramwise_cfg.norm_decay_mult: not set -> 0.0",
    ),
    "another optimizer": ({"optim_wrapper.optimizer.type": "SGD"}, "optim_wrapper.optimizer.type: 'AdamW' -> 'SGD'"),
    "other groups": (
        {"optim_wrapper.constructor": "mmswinv2.LayerDecayOptimWrapperConstructor"},
        "optim_wrapper.constructor: not set -> 'mmswinv2.LayerDecay",
    ),
    "another schedule": ({"param_scheduler": [dict(type="LinearLR")]}, "param_scheduler.0.type: not set -> 'LinearLR'"),
}


@pytest.mark.parametrize("case", FATAL)
def test_what_the_run_cannot_go_on_with_is_named(case: str, upernet: Config, tmp_path: Path) -> None:
    options, expected = FATAL[case]
    path = checkpoint(tmp_path / "iter_4.pth", upernet)
    with pytest.raises(ConfigError, match=re.escape(f"  {expected}")) as error:
        check_resumed_config(merged(upernet, options), path)
    assert f"--cfg-options load_from={path} and another --work-dir" in str(error.value)


ALLOWED = {
    "more iterations": ({"train_cfg.max_iters": 12}, "has changed", "train_cfg.max_iters: 6 -> 12"),
    "larger batches": ({"train_dataloader.batch_size": 4}, "has changed", "train_dataloader.batch_size: 2 -> 4"),
    "a loss's weight": (
        {"model.decode_head.loss_decode.loss_weight": 2.0},
        "has changed",
        "model.decode_head.loss_decode.loss_weight: not set -> 2.0",
    ),
    "learning rate": ({"optim_wrapper.optimizer.lr": 1e-3}, "no effect", "optim_wrapper.optimizer.lr: 0.0001 -> 0.001"),
    "seed": ({"randomness": dict(seed=5)}, "no effect", "randomness.seed: not set -> 5"),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_may_change_is_said(
    case: str, upernet: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MMEngine takes optimizer and schedule from the checkpoint: a new learning rate in the config does nothing."""
    options, heading, expected = ALLOWED[case]
    check_resumed_config(merged(upernet, options), checkpoint(tmp_path / "iter_4.pth", upernet))
    first, *rest = capsys.readouterr().out.splitlines()
    assert heading in first and rest == [f"  {expected}"]


SILENT = {
    "work_dir": "elsewhere",
    "resume": True,
    "load_from": "iter_4.pth",
    "launcher": "pytorch",
    "log_level": "DEBUG",
    "default_hooks.checkpoint.interval": 1,
    "default_hooks.logger.interval": 50,
    "train_cfg.val_interval": 3,
    "train_dataloader.num_workers": 4,
    "train_dataloader.persistent_workers": True,
    "train_dataloader.dataset.data_root": "/mnt/elsewhere",
    "val_dataloader.batch_size": 8,
    "val_evaluator.iou_metrics": ["mDice"],
    "model.backbone.with_cp": True,
    "model.backbone.init_cfg": dict(type="Pretrained", checkpoint="hf-hub:x/y"),
    "model.backbone.type": "SwinTransformerV2",
    "model.test_cfg.mode": "slide",
    "model.data_preprocessor.size": [64, 64],
    "custom_hooks": [dict(type="EMAHook")],
    "train_pipeline": [],
}


def test_what_does_not_matter_is_not_mentioned(
    upernet: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Places, logs, validation and speed may change from start to start."""
    check_resumed_config(merged(upernet, SILENT), checkpoint(tmp_path / "iter_4.pth", upernet))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_goes_on_with_itself(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = Config(Config.fromfile(recipe).to_dict(), format_python_code=False)
    check_resumed_config(cfg, checkpoint(tmp_path / "iter_4.pth", cfg))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("epoch", "done", "grouped", "refused"),
    [(1, 7, True, True), (1, 7, False, False), (1, 5, True, False), (2, 10, True, False)],
)
def test_batch_size_is_fixed_within_an_epoch_of_grouped_images(
    epoch: int, done: int, grouped: bool, refused: bool, tmp_path: Path
) -> None:
    """A :class:`ResumableBatchSampler` finds its place by counting batches from the epoch's start."""
    cfg = Config(training(CLASSIFIER, **EPOCHS))
    place = {"epoch": 1, "iter": 5, "samples": 0, "batch": 4, "grouped": grouped}
    hub = {"runtime_info": {"data_place": place}}
    path = checkpoint(tmp_path / "iter_7.pth", cfg, epoch, done, message_hub=hub)
    changed = merged(cfg, {"train_dataloader.batch_size": 2})
    if not refused:
        check_resumed_config(changed, path)
        return
    with pytest.raises(ConfigError, match=r"train_dataloader\.batch_size: 4 -> 2"):
        check_resumed_config(changed, path)


@pytest.mark.parametrize("text", ["raise SystemExit", "model = open('ran', 'w')", 7, None])
def test_a_config_that_cannot_be_compared_is_said_and_not_run(
    text: Any, upernet: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = checkpoint(tmp_path / "iter_4.pth", None)
    torch.save({"meta": {"cfg": text}, "state_dict": {}}, path)
    check_resumed_config(upernet, path)
    assert "cannot be compared" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_a_damaged_checkpoint_is_named(upernet: Config, tmp_path: Path) -> None:
    path = Path(checkpoint(tmp_path / "iter_4.pth", upernet))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(CheckpointError, match=r"iter_4\.pth: (damaged|cut short)"):
        check_resumed_config(upernet, str(path))


def test_a_work_dir_of_the_same_model_may_begin_anew(upernet: Config, tmp_path: Path) -> None:
    """And one whose files do not tell their model."""
    upernet.work_dir = str(tmp_path)
    for name in ("untrained.pth", "best_mIoU_iter_2.pth", "iter_x.pth"):
        (tmp_path / name).write_bytes(b"")
    check_new_run(upernet)
    checkpoint(tmp_path / "iter_2.pth", upernet)
    check_new_run(upernet)
    (tmp_path / "iter_10.pth").write_bytes(b"")
    check_new_run(upernet)


def test_a_work_dir_of_another_model_is_named(upernet: Config, tmp_path: Path) -> None:
    """``--resume`` is no way on there."""
    checkpoint(tmp_path / "epoch_1.pth", upernet)
    simmim = Config({**training(SIMMIM, **ITERATIONS), "work_dir": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"another model \(EncoderDecoder, this config has SimMIM\)") as error:
        check_new_run(simmim)
    assert "--resume" not in str(error.value)


def test_the_newest_checkpoint_is_that_of_the_most_iterations(tmp_path: Path) -> None:
    """Not the one whose file has the latest time, nor the last by name."""
    for number in (10, 9, 100):
        (tmp_path / f"iter_{number}.pth").write_bytes(b"")
    assert [path.name for path in numbered_checkpoints(str(tmp_path))] == ["iter_9.pth", "iter_10.pth", "iter_100.pth"]
