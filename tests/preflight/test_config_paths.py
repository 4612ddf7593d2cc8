"""Paths that do not exist are named with their config key, before the run."""

import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from mmswinv2.errors import ConfigError
from mmswinv2.preflight import check_config

from ..support import ROOT
from .support import TRAIN_JSON


def test_good_configs_pass(detection: Config, segmentation: Config) -> None:
    """Nothing is wrong with the data that the other tests break."""
    check_config(detection)
    check_config(segmentation)


def test_missing_root_names_key_path_and_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variable that the root comes from is named, with every config key that uses it."""
    monkeypatch.setenv("TINY_ROOT", str(tmp_path / "nowhere"))
    cfg = Config.fromfile(ROOT / "tests/cli/tiny_mask_rcnn.py")
    with pytest.raises(ConfigError) as error:
        check_config(cfg)
    message = str(error.value)
    assert f"train_dataloader.dataset.dataset.data_root: no such folder: {tmp_path}/nowhere" in message
    assert "val_dataloader.dataset.data_root" in message
    assert f"val_evaluator.ann_file: no such file: {tmp_path}/nowhere/annotations" in message
    assert "setting the environment variable TINY_ROOT" in message


@pytest.mark.parametrize("wrapper", ["RepeatDataset", "ClassBalancedDataset", "MultiImageMixDataset", "ConcatDataset"])
def test_missing_annotation_file_is_found_through_wrappers(detection: Config, root: Path, wrapper: str) -> None:
    """The config key goes through the wrapper, so that it can be given to --cfg-options as it stands."""
    leaf = detection.train_dataloader.dataset.dataset
    leaf.ann_file = "annotations/typo.json"
    inner, key = ({"datasets": [leaf]}, "datasets.0") if wrapper == "ConcatDataset" else ({"dataset": leaf}, "dataset")
    detection.train_dataloader.dataset = {"type": wrapper, **inner}
    with pytest.raises(ConfigError) as error:
        check_config(detection)
    key = f"train_dataloader.dataset.{key}.ann_file"
    assert f"{key}: no such file: {root}/annotations/typo.json" in str(error.value)
    detection.merge_from_dict({key: TRAIN_JSON})
    check_config(detection)


def test_missing_image_folder_of_validation_stops_training(segmentation: Config, root: Path) -> None:
    """What validation lacks is found before training, not after its first epoch."""
    shutil.rmtree(root / "semantic/val")
    with pytest.raises(ConfigError, match=r"val_dataloader\.dataset\.data_prefix\.seg_map_path: no such folder"):
        check_config(segmentation)


def test_a_folder_without_images_of_the_ending_is_named(segmentation: Config, root: Path) -> None:
    """One's own PNGs under the default ending .jpg: the endings found are named."""
    for path in (root / "train").iterdir():
        path.rename(path.with_suffix(".png"))
    with pytest.raises(ConfigError, match=rf"no image in {root}/train ends in '\.jpg'; endings there: \.png"):
        check_config(segmentation)
    segmentation.train_dataloader.dataset.img_suffix = ".png"
    check_config(segmentation)


def test_test_run_does_not_ask_for_training_data(detection: Config, root: Path) -> None:
    """Who only tests needs no training data."""
    shutil.rmtree(root / "train")
    check_config(detection, ("test_dataloader",))
    with pytest.raises(ConfigError, match=r"train_dataloader\.dataset\.dataset\.data_prefix\.img"):
        check_config(detection)


def test_remote_data_is_left_alone(detection: Config, root: Path) -> None:
    """With backend_args the paths are none of this machine's."""
    shutil.rmtree(root)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        dataset = detection[loader].dataset
        dataset.get("dataset", dataset).backend_args = dict(backend="petrel")
    for evaluator in ("val_evaluator", "test_evaluator"):
        detection[evaluator].backend_args = dict(backend="petrel")
    check_config(detection)
