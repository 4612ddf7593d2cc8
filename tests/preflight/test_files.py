"""Images and label maps that cannot be read, or hold other values than the classes, are named."""

import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmswinv2.errors import DataError
from mmswinv2.preflight.files import decode_fault, end_fault, spread
from mmswinv2.preflight.hooks import check_files

from .support import built_dataset


def test_missing_images_are_named_and_counted(detection: Config, root: Path) -> None:
    """The first few missing images are named, with their number."""
    removed = sorted((root / "train").iterdir())
    for path in removed:
        path.unlink()
    with pytest.raises(DataError, match=rf"(?s)6 of the 6 files .*{removed[0]}: no such file.*and 1 more"):
        check_files(built_dataset(detection), "train_dataloader.dataset")


def test_truncated_jpeg_is_found_by_its_end(root: Path) -> None:
    """OpenCV decodes a truncated JPEG to a half grey picture without an error; its missing end gives it away."""
    path = next((root / "train").iterdir())
    data = path.read_bytes()
    assert end_fault(str(path)) is None
    path.write_bytes(data[: len(data) // 2])
    assert re.search("truncated", end_fault(str(path)))
    path.write_bytes(data + b"\n\0 something appended")
    assert end_fault(str(path)) is None


def test_truncated_png_is_found_by_its_end(root: Path) -> None:
    """The same for PNG."""
    path = next((root / "semantic/train").iterdir())
    path.write_bytes(path.read_bytes()[:-200])
    assert str(path) in end_fault(str(path))


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "the file is empty"), (b"<html>404</html>", "it is not an image")]
)
def test_a_file_that_is_no_image_is_named(root: Path, content: bytes, message: str) -> None:
    """An empty file and a saved error page are named."""
    path = next((root / "train").iterdir())
    path.write_bytes(content)
    assert end_fault(str(path)) == f"{path}: {message}"


def test_png_with_a_broken_middle_is_found_by_decoding(root: Path) -> None:
    """A file whole at both ends and broken between needs the decoder."""
    path = next((root / "semantic/train").iterdir())
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)
    assert end_fault(str(path)) is None
    assert str(path) in decode_fault(str(path))


def test_corrupt_image_stops_the_check(segmentation: Config, root: Path) -> None:
    """The check of a data set names the corrupt image and its config key."""
    path = sorted((root / "train").iterdir())[3]
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=rf"train_dataloader\.dataset: 1 of the 12 files .*\n  {path}: .*truncated"):
        check_files(built_dataset(segmentation), "train_dataloader.dataset")


@pytest.mark.parametrize("reduce_zero_label", [True, False])
def test_label_values_outside_the_classes_are_refused(
    segmentation: Config, root: Path, reduce_zero_label: bool
) -> None:
    """File, value and number of classes are named, and reduce_zero_label, the usual cause."""
    path = sorted((root / "semantic/train").iterdir())[0]
    label_map = np.asarray(Image.open(path)).copy()
    label_map[0, :3] = (0, 255, 7)
    Image.fromarray(label_map).save(path)
    segmentation.train_dataloader.dataset.reduce_zero_label = reduce_zero_label
    dataset = built_dataset(segmentation)
    with pytest.raises(DataError) as error:
        check_files(dataset, "train_dataloader.dataset")
    # Without reduction 3, the last class of six maps, is outside as well.
    values = "7" if reduce_zero_label else r"(3, )?7"
    assert re.search(rf"{path}: value {values}\n", str(error.value))
    assert f"3 classes and reduce_zero_label={reduce_zero_label}" in str(error.value)


def test_label_values_agree_with_what_the_pipeline_makes_of_them(segmentation: Config, root: Path) -> None:
    """The check predicts the very values that MMSegmentation's loader gives, for classes chosen from a set's own."""
    from mmseg.datasets import ADE20KDataset

    from mmswinv2.preflight.label_maps import class_of

    path = sorted((root / "semantic/train").iterdir())[0]
    label_map = np.zeros_like(np.asarray(Image.open(path)))
    label_map.flat[:256] = np.arange(256)
    Image.fromarray(label_map).save(path)
    settings = segmentation.train_dataloader.dataset
    classes = ADE20KDataset.METAINFO["classes"][10:30]
    settings.update(type="ADE20KDataset", metainfo=dict(classes=classes), pipeline=settings.pipeline[:2])
    for reduce_zero_label in (True, False):
        settings.reduce_zero_label = reduce_zero_label
        dataset = built_dataset(segmentation)
        loaded = dataset[0]["gt_seg_map"].flat[:256].tolist()
        assert loaded == [class_of(value, dataset) for value in range(256)]


def test_a_corrupt_label_map_is_named(segmentation: Config, root: Path) -> None:
    """A label map that does not decode, or has three channels, is named."""
    first, second = sorted((root / "semantic/train").iterdir())[:2]
    data = bytearray(first.read_bytes())
    data[60:90] = bytes(30)
    first.write_bytes(data)
    Image.open(second).convert("RGB").save(second)
    with pytest.raises(
        DataError, match=rf"(?s)1 of the 12 files.*{first}: .*1 of the 12 label maps .* one channel.*{second}: shape"
    ):
        check_files(built_dataset(segmentation), "train_dataloader.dataset")


def test_sample_is_even_and_keeps_small_sets_whole() -> None:
    """A sample covers a sorted set from end to end."""
    assert spread([1, 2, 3], 3) == [1, 2, 3]
    sample = spread(range(118_287), 500)
    assert len(set(sample)) == 500
    assert set(np.diff(sample).tolist()) <= {236, 237}
