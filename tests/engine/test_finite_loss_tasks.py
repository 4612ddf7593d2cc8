"""Bad batches of a detector and a segmentor: their images are named, and what a bad step touched is put back."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmswinv2.errors import TrainingError

from ..cli.support import CONFIGS
from ..tiny_nuclei import write_tiny_nuclei
from .faults import is_finite

MODELS = ["mask_rcnn", "upernet"]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the training's images."""
    root = write_tiny_nuclei(tmp_path / "data")
    monkeypatch.setenv("TINY_ROOT", str(root))
    return sorted(path.name for path in (root / "train").glob("*.jpg"))


def runner_of(name: str, folder: Path, spoilt: str, seed: int, **settings: int) -> Runner:
    """A training in which one image has a pixel that is not a number."""
    cfg = Config.fromfile(CONFIGS / f"tiny_{name}.py")
    dataset = cfg.train_dataloader.dataset
    dataset = dataset.get("dataset", dataset)
    dataset.pipeline = [*dataset.pipeline[:-1], dict(type="mmengine.SpoilPixel", name=spoilt), dataset.pipeline[-1]]
    cfg.randomness = dict(seed=seed)
    cfg.train_cfg.val_interval = 100
    cfg.custom_hooks = [dict(type="mmswinv2.FiniteLossHook", **settings)]
    cfg.work_dir, cfg.experiment_name = str(folder), str(folder)
    return Runner.from_cfg(cfg)


@pytest.mark.parametrize("name", MODELS)
def test_the_image_is_named(name: str, images: list[str], tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as error:
        runner_of(name, tmp_path / "work", images[2], seed=0).train()
    assert images[2] in str(error.value)
    assert "first layer whose output is not finite: data_preprocessor (" in str(error.value)


@pytest.mark.parametrize("name", ["upernet", pytest.param("mask_rcnn", marks=pytest.mark.full)])
def test_running_statistics_do_not_keep_a_bad_batch(name: str, images: list[str], tmp_path: Path) -> None:
    """A forward pass alone puts NaN into BatchNorm, from which every later evaluation would suffer."""
    runner = runner_of(name, tmp_path / "work", images[2], seed=1, skip_bad_steps=6)
    runner.train()
    assert runner.message_hub.get_info("bad_steps")["count"] >= 1
    assert is_finite(runner.model.state_dict())
