"""The hook that looks at the data stops a run before its first iteration."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmswinv2.errors import DataError
from mmswinv2.preflight.hooks import check_batches


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


def test_a_training_without_a_full_batch_is_refused(segmentation: Config, tmp_path: Path) -> None:
    """It would pass its epochs without an iteration, and save a model that has learnt nothing."""
    segmentation.merge_from_dict(
        dict(
            custom_hooks=[dict(type="mmswinv2.DataCheckHook")],
            work_dir=str(tmp_path / "work"),
            experiment_name=tmp_path.name,
            train_cfg=dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=1),
            train_dataloader=dict(
                batch_size=50, drop_last=True, sampler=dict(_delete_=True, type="DefaultSampler", shuffle=True)
            ),
        )
    )
    with pytest.raises(
        DataError, match=r"\d+ images fill no batch. Each of 1 processes takes batches of 50, and drop_"
    ):
        Runner.from_cfg(segmentation).train()


def test_a_sampler_without_an_end_fills_any_batch(segmentation: Config, tmp_path: Path) -> None:
    segmentation.merge_from_dict(dict(train_dataloader=dict(batch_size=50, drop_last=True)))
    check_batches(Runner.build_dataloader(segmentation.train_dataloader))
