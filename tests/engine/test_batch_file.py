"""A batch becomes a file that a reader of plain data reads, and comes back as it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.engine.batch_file import CLASS, from_plain, image_names, to_plain
from mmswinv2.errors import CheckpointError, DataError

from ..cli.support import CONFIGS
from ..tiny_nuclei import write_tiny_nuclei


def first_batch(name: str, root: Path, monkeypatch: pytest.MonkeyPatch, *transforms: dict) -> dict[str, list]:
    """Two samples of the tiny detection or segmentation config, as MMEngine's pseudo_collate joins them."""
    monkeypatch.setenv("TINY_ROOT", str(write_tiny_nuclei(root)))
    cfg = Config.fromfile(CONFIGS / f"tiny_{name}.py")
    dataset = cfg.train_dataloader.dataset
    dataset = dataset.get("dataset", dataset)
    dataset.pipeline = [*dataset.pipeline[:-1], *transforms, dataset.pipeline[-1]]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        built = DATASETS.build(dataset)
    samples = [built[0], built[1]]
    return {key: [sample[key] for sample in samples] for key in samples[0]}


def assert_same(one: Any, other: Any) -> None:
    """Compares two batches, whatever is in them."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, BaseDataElement):
        assert_same(dict(one.metainfo_items()), dict(other.metainfo_items()))
        assert_same(dict(one.items()), dict(other.items()))
    elif hasattr(one, "masks"):
        assert_same([one.masks, one.height, one.width], [other.masks, other.height, other.width])
    elif hasattr(one, "tensor"):
        assert_same(one.tensor, other.tensor)
    else:
        assert one == other


@pytest.mark.parametrize("name", ["mask_rcnn", "upernet"])
def test_batches_of_mmdet_and_mmseg_come_back(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes, masks, label maps, and all that is noted of an image."""
    batch = first_batch(name, tmp_path / "data", monkeypatch)
    torch.save(to_plain(batch), tmp_path / "batch.pth")
    again = from_plain(read_checkpoint(str(tmp_path / "batch.pth")).content)
    assert_same(again, batch)
    assert len(image_names(batch)) == 2 and image_names(again) == image_names(batch)
    assert all(Path(path).is_file() for path in image_names(batch))


def test_polygons_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks that the pipeline does not draw."""
    polygons = dict(type="LoadAnnotations", with_bbox=True, with_mask=True, poly2mask=False)
    batch = first_batch("mask_rcnn", tmp_path / "data", monkeypatch, polygons)
    torch.save(to_plain(batch), tmp_path / "batch.pth")
    assert_same(from_plain(read_checkpoint(str(tmp_path / "batch.pth")).content), batch)


def test_a_batch_of_default_collate_names_its_images() -> None:
    batch = {"inputs": torch.rand(2, 3), "img_path": ["a.jpg", "b.jpg"], "label": torch.tensor([0, 1])}
    assert image_names(batch) == ["a.jpg", "b.jpg"]
    assert_same(from_plain(to_plain(batch)), batch)


def test_what_is_not_plain_is_refused_both_ways() -> None:
    """Nobody's class is looked up for a name in a file."""
    with pytest.raises(DataError, match="object of the class PosixPath"):
        to_plain({"path": Path("a.jpg")})
    with pytest.raises(CheckpointError, match="class 'system'"):
        from_plain({CLASS: "system", "command": "true"})
