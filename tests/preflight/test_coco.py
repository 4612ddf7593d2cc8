"""COCO files that cannot be right are named, with what is wrong in them."""

import json
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from mmswinv2.errors import ConfigError, DataError
from mmswinv2.preflight import check_config
from mmswinv2.preflight.coco import check_file
from mmswinv2.preflight.coco_file import CocoFile

from .support import TRAIN_JSON, edit_json


def test_unreadable_json_names_file_and_place(detection: Config, root: Path) -> None:
    """A JSON cut short is named with line and column."""
    path = root / TRAIN_JSON
    path.write_text(path.read_text()[:500])
    with pytest.raises(DataError, match=rf"{path}\) is not readable as JSON: .* at line 1, column \d+"):
        check_config(detection)


def test_a_binary_annotation_file_is_named(detection: Config, root: Path) -> None:
    """An image in the annotation file's place is named."""
    shutil.copy(next((root / "train").iterdir()), root / TRAIN_JSON)
    with pytest.raises(DataError, match=r"instances_train\.json\) is not readable as JSON: it is no text file"):
        check_config(detection)


@pytest.mark.parametrize("lacking", ["images", "annotations", "categories"])
def test_empty_lists_of_a_coco_file_are_named(detection: Config, root: Path, lacking: str) -> None:
    """Nothing to train on is said, where MMEngine would fail to concatenate no arrays."""
    edit_json(root / TRAIN_JSON, lambda content: content.update({lacking: []}))
    with pytest.raises(DataError, match=rf"the list '{lacking}' is empty"):
        check_config(detection)


@pytest.mark.parametrize("lacking", ["images", "annotations", "categories"])
def test_missing_lists_of_a_coco_file_are_named(detection: Config, root: Path, lacking: str) -> None:
    """A file without one of COCO's lists trains on nothing; it is refused."""
    edit_json(root / TRAIN_JSON, lambda content: content.pop(lacking))
    with pytest.raises(
        DataError, match=rf"instances_train\.json\) is no COCO annotation file: it has no list '{lacking}'"
    ):
        check_config(detection)


def test_unlabelled_test_set_passes_where_nothing_is_scored(detection: Config, root: Path) -> None:
    """COCO's test-dev files have no annotations: fine for format_only, not otherwise."""
    edit_json(root / "annotations/instances_val.json", lambda content: content.pop("annotations"))
    with pytest.raises(DataError, match="it has no list 'annotations'"):
        check_config(detection, ("test_dataloader",))
    detection.test_evaluator.format_only = True
    check_config(detection, ("test_dataloader",))


@pytest.mark.parametrize(
    ("key", "message"),
    [("image_id", "there is no image 999"), ("category_id", "there is no category 999")],
)
def test_dangling_annotations_are_named_and_counted(detection: Config, root: Path, key: str, message: str) -> None:
    """Annotations that point nowhere are named and counted, not skipped in silence."""
    edit_json(root / TRAIN_JSON, lambda content: [one.update({key: 999}) for one in content["annotations"][:7]])
    with pytest.raises(DataError, match=rf"(?s)annotation \d+: {message}\n.*and 2 more"):
        check_config(detection)


def test_class_names_that_the_file_lacks_are_refused(detection: Config, root: Path) -> None:
    """MMDetection drops the objects of a class whose name is spelt otherwise in the file, without a word."""
    edit_json(root / TRAIN_JSON, lambda content: content["categories"][0].update(name="Fluorescence-Nucleus"))
    with pytest.raises(DataError) as error:
        check_config(detection)
    assert "lacks 1 of the 2 classes" in str(error.value)
    assert "'fluorescence-nucleus'" in str(error.value) and "'Fluorescence-Nucleus'" in str(error.value)


def test_class_names_in_another_order_are_refused(detection: Config, root: Path) -> None:
    """MMDetection numbers classes in the file's order, so another order in the config swaps their names."""
    edit_json(root / TRAIN_JSON, lambda content: content["categories"].reverse())
    with pytest.raises(DataError, match=r"another order.*classes=\('histology-nucleus', 'fluorescence-nucleus'\)"):
        check_config(detection)


def test_classes_default_to_those_of_the_data_set_class(detection: Config) -> None:
    """Without metainfo a CocoDataset asks for COCO's 80 names, a common slip with one's own file."""
    del detection.train_dataloader.dataset.dataset["metainfo"]
    with pytest.raises(DataError, match="lacks 80 of the 80 classes"):
        check_config(detection)


def test_categories_of_a_panoptic_file_are_checked(tmp_path: Path) -> None:
    """In a panoptic file the categories stand in each annotation's segments."""
    path = tmp_path / "panoptic.json"
    segments = [{"id": number, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4} for number in (5, 6)]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 2, "width": 2}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "sky", "isthing": 0}],
    }
    path.write_text(json.dumps(content))
    check_file(CocoFile(str(path), "ann_file", ("sky",)))
    segments[1]["category_id"] = 2
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="annotation 6: there is no category 2"):
        check_file(CocoFile(str(path), "ann_file", ("sky",)))


def test_an_annotation_file_that_is_not_set_is_named(detection: Config) -> None:
    """MMEngine's default is an empty name, which would end in a FileNotFoundError for ''."""
    del detection.train_dataloader.dataset.dataset["ann_file"]
    with pytest.raises(ConfigError, match=r"train_dataloader\.dataset\.dataset\.ann_file is not set"):
        check_config(detection)


def test_an_entry_without_an_id_names_the_key(detection: Config, root: Path) -> None:
    """An incomplete entry names the key that it lacks."""
    edit_json(root / TRAIN_JSON, lambda content: content["images"][0].pop("file_name"))
    with pytest.raises(DataError, match=r"images: 1 of the 6 entries lack .*:\n  images\[0\] has no 'file_name'"):
        check_config(detection)
