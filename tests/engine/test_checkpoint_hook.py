"""No checkpoint is removed before the next one is written."""

import copy
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmswinv2.checkpoint.openmmlab  # noqa: F401, runners write whole checkpoints
from mmswinv2.checkpoint import archive, check_whole

from .tiny_training import CLASSIFIER, ITERATIONS, SIMMIM, training


class Files(Hook):
    """Notes which checkpoints are there while the next one is being saved.

    Attributes:
        before: The names, for each save.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before: list[list[str]] = []

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.before.append(sorted(path.name for path in self.folder.glob("*.pth")))


def train(folder: Path, hook: dict[str, Any], **changes: Any) -> Files:
    files = Files(folder)
    config = copy.deepcopy(training(SIMMIM, **ITERATIONS, **changes))
    config["default_hooks"]["checkpoint"] = dict(by_epoch=False, interval=4, max_keep_ckpts=1, **hook)
    Runner(**config, work_dir=str(folder), custom_hooks=[files], experiment_name=str(folder)).train()
    return files


def test_the_only_checkpoint_stays_until_the_next_is_there(tmp_path: Path) -> None:
    """MMEngine's hook, beside it, removes the only one first: the fault that this protects from."""
    stock = train(tmp_path / "stock", dict(type="CheckpointHook"))
    assert stock.before == [[], [], [], []]
    files = train(tmp_path / "whole", dict(type="mmswinv2.WholeCheckpointHook"))
    assert files.before == [[], ["iter_4.pth"], ["iter_8.pth"], ["iter_12.pth"]]
    (last,) = (tmp_path / "whole").glob("*.pth")
    assert last.name == "iter_15.pth"
    check_whole(last)


def test_the_best_stays_until_a_better_one_is_there(tmp_path: Path) -> None:
    evaluation = dict(
        batch_size=4,
        dataset=dict(type="SeededCrops", size=4),
        sampler=dict(type="mmswinv2.ResumableSampler", shuffle=False),
        collate_fn=dict(type="default_collate"),
    )
    files = train(
        tmp_path,
        dict(type="mmswinv2.WholeCheckpointHook", save_best="reconstruction/l1", rule="less"),
        train_cfg=dict(type="mmswinv2.ResumableIterLoop", max_iters=15, val_interval=4),
        val_dataloader=evaluation,
        val_cfg=dict(),
        val_evaluator=dict(type="mmswinv2.ReconstructionError"),
    )
    saved = sum(name.startswith("best") for names in files.before for name in names)
    assert saved and all(any(name.startswith("best") for name in names) for names in files.before[3:])
    assert len(list(tmp_path.glob("best_*.pth"))) == 1 and len(list(tmp_path.glob("iter_*.pth"))) == 1


def test_a_save_that_fails_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at the second checkpoint: the first one is still there, and no half of the second."""
    write, count = archive.write_whole, []

    def fill(path: Path, writer: Any) -> None:
        count.append(path)
        if len(count) == 2:
            raise OSError(28, "No space left on device")
        write(path, writer)

    monkeypatch.setattr(archive, "write_whole", fill)
    with pytest.raises(OSError, match="No space left"):
        train(tmp_path, dict(type="mmswinv2.WholeCheckpointHook"))
    assert [path.name for path in tmp_path.glob("*.pth*")] == ["iter_4.pth"]


def test_runs_by_epoch_too(tmp_path: Path) -> None:
    files = Files(tmp_path)
    config = copy.deepcopy(
        training(CLASSIFIER, dict(type="EpochBasedTrainLoop", max_epochs=3), dict(type="DefaultSampler", shuffle=True))
    )
    config["default_hooks"]["checkpoint"] = dict(type="mmswinv2.WholeCheckpointHook", interval=1, max_keep_ckpts=1)
    Runner(**config, work_dir=str(tmp_path), custom_hooks=[files], experiment_name=str(tmp_path)).train()
    assert files.before == [[], ["epoch_1.pth"], ["epoch_2.pth"]]
    assert [path.name for path in tmp_path.glob("*.pth")] == ["epoch_3.pth"]
