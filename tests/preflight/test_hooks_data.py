"""The hook that looks at the data stops a run before its first iteration."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmswinv2.errors import DataError


@pytest.fixture
def runner(segmentation: Config, tmp_path: Path) -> Iterator[Runner]:
    """A runner of the tiny UPerNet with the hook."""
    segmentation.custom_hooks = [dict(type="mmswinv2.DataCheckHook")]
    segmentation.work_dir = str(tmp_path / "work")
    segmentation.experiment_name = tmp_path.name
    return Runner.from_cfg(segmentation)


@pytest.mark.parametrize("split", ["train", "val"])
def test_hook_stops_before_the_first_iteration(runner: Runner, root: Path, split: str) -> None:
    """A broken image of training or validation data is named before anything is trained."""
    path = next((root / split).iterdir())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=rf"{split}_dataloader\.dataset: 1 of the \d+ files .*\n  {path}"):
        runner.train()
    assert runner.iter == 0


def test_hook_looks_at_a_test_set_of_its_own(runner: Runner, root: Path) -> None:
    """A test set other than the validation set is looked at when training starts."""
    shutil.copytree(root / "val", root / "test")
    path = next((root / "test").iterdir())
    path.write_bytes(b"")
    runner.cfg.test_dataloader.dataset.data_prefix.img_path = "test"
    with pytest.raises(DataError, match=rf"test_dataloader\.dataset: .*\n  {path}: the file is empty"):
        runner.train()
