"""Each fault that a COCO file can have, made on a copy of a good one: an error, a warning, or nothing.

Warnings are for what MMDetection leaves out by itself, which COCO's own files hold a little of.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from pycocotools import mask
from pycocotools.coco import COCO

from mmswinv2.errors import DataError
from mmswinv2.preflight import check_config
from mmswinv2.preflight.coco import check_file
from mmswinv2.preflight.coco_file import CocoFile
from mmswinv2.preflight.masks import run_total

from ..support import FIXTURES
from .support import TRAIN_JSON, edit_json

KEY = "train_dataloader.dataset.dataset.ann_file"
WHERE = r"train_dataloader\.dataset\.dataset\.ann_file \(.*instances_train\.json\)"
CLASSES = ("fluorescence-nucleus", "histology-nucleus")
FILTER = dict(filter_empty_gt=True, min_size=8)
LOAD = dict(type="mmdet.LoadAnnotations", with_bbox=True, with_mask=True)
FIRST = r"annotation 1 of 00071198d059ba7f\.jpg"  # 256 x 256 px, its bbox is [46, 180, 18, 20]
POLYGON = [1, 1, 9, 1, 9, 9]
COMPRESSED = "0b1^6000PXo1"  # the upper left of 256 x 256 px


def annotation(**changes: object) -> Callable[[dict], None]:
    """Changes the first annotation."""
    return lambda content: content["annotations"][0].update(changes)


def image(**changes: object) -> Callable[[dict], None]:
    """Changes the first image."""
    return lambda content: content["images"][0].update(changes)


def without(key: str) -> Callable[[dict], None]:
    """Takes a key out of the first annotation."""
    return lambda content: content["annotations"][0].pop(key)


def every(change: Callable[[dict], None]) -> Callable[[dict], None]:
    """Changes all annotations."""
    return lambda content: [change(one) for one in content["annotations"]] and None


def runs(size: list[int], counts: object) -> dict:
    return dict(segmentation=dict(size=size, counts=counts), iscrowd=0)


def twice(content: dict) -> None:
    """Lists the first image again, and its objects with it."""
    first = content["images"][0]
    content["images"].append({**first, "id": 990})
    for number, one in enumerate([one for one in content["annotations"] if one["image_id"] == first["id"]]):
        content["annotations"].append({**one, "id": 9900 + number, "image_id": 990})


def split(content: dict) -> None:
    """Lists the first image again, with one of its objects."""
    content["images"].append({**content["images"][0], "id": 990})
    content["annotations"][0]["image_id"] = 990


def same_image_id(content: dict) -> None:
    content["images"][1]["id"] = content["images"][0]["id"]


def same_annotation_id(content: dict) -> None:
    content["annotations"][1]["id"] = content["annotations"][0]["id"]


def relative(one: dict) -> None:
    one["bbox"] = [value / 512 for value in one["bbox"]]


def emptied(content: dict) -> None:
    """Leaves one object, of a class that the data set does not ask for."""
    content["categories"].append(dict(id=77, name="dust"))
    content["annotations"] = [{**content["annotations"][0], "category_id": 77}]


ERRORS = {
    "NaN in a box": (
        annotation(bbox=[math.nan, 180, 18, 20]),
        rf"{WHERE}: 1 of the \d+ annotations have a bbox that is no list of four finite numbers:\n  {FIRST}: "
        r"bbox \[nan, 180, 18, 20\]\nA bbox is \[x, y, width, height\]",
    ),
    "infinite box": (annotation(bbox=[46, 180, math.inf, 20]), rf"{FIRST}: bbox \[46, 180, inf, 20\]"),
    "huge number in a box": (annotation(bbox=[46, 180, 10**400, 20]), rf"{FIRST}: bbox \[46, 180, 10+\.\.\."),
    "box of three numbers": (annotation(bbox=[46, 180, 18]), rf"{FIRST}: bbox \[46, 180, 18\]"),
    "box of strings": (annotation(bbox=["46", "180", "18", "20"]), rf"{FIRST}: bbox \['46', '180', '18', '20'\]"),
    "box of lists": (annotation(bbox=[[46], [180], [18], [20]]), rf"{FIRST}: bbox \[\[46\]"),
    "box as a dict": (annotation(bbox=dict(x=1)), rf"{FIRST}: bbox {{'x': 1}}"),
    "no box": (without("bbox"), f"{FIRST}: bbox None"),
    "no area": (without("area"), rf"annotations have an area that is no finite number, or none:\n  {FIRST}: area None"),
    "area as a string": (annotation(area="360"), f"{FIRST}: area 360"),
    "boxes in parts of the image": (
        every(relative),
        r"\d+ of the \d+ annotations would be left out by MMDetection, so that hardly anything would be trained",
    ),
    "NaN in a polygon": (
        annotation(segmentation=[[1, 1, math.nan, 1, 9, 9]]),
        rf"neither a list of polygons nor run lengths:\n  {FIRST}: segmentation \[\[1, 1, nan",
    ),
    "polygon that is not in a list": (annotation(segmentation=POLYGON), f"{FIRST}: segmentation"),
    "polygon of pairs": (annotation(segmentation=[[[1, 1], [9, 1], [9, 9]]]), f"{FIRST}: segmentation"),
    "segmentation as a string": (annotation(segmentation="none"), f"{FIRST}: segmentation none"),
    "no segmentation": (
        without("segmentation"),
        rf"1 of the \d+ annotations have no segmentation, or an empty one:\n  {FIRST}: segmentation None",
    ),
    "empty segmentation": (annotation(segmentation=[]), rf"{FIRST}: segmentation \[\]"),
    "runs of another size": (
        annotation(**runs([256, 200], [256 * 200])),
        rf"run lengths of another size than their image:\n  {FIRST}: size \[256, 200\], image \[256, 256\]",
    ),
    "runs that do not fill the image": (
        annotation(**runs([256, 256], [5, 5])),
        rf"run lengths that do not add up to the pixels of their image:\n  {FIRST}: counts \[5, 5\], image of 65536 px",
    ),
    "compressed runs that do not fill the image": (
        annotation(**runs([256, 256], "55")),
        rf"run lengths that do not add up to the pixels of their image:\n  {FIRST}: counts 55",
    ),
    "run lengths that are no text": (annotation(**runs([256, 256], None)), f"{FIRST}: segmentation"),
    "unknown category": (annotation(category_id=99), "annotation 1: there is no category 99"),
    "unknown image": (annotation(image_id=99), "annotation 1: there is no image 99"),
    "image id that is there twice": (
        same_image_id,
        r"1 of the 6 images have the id of another one:\n  image 1, \w+\.jpg\nOf images of one id the last alone",
    ),
    "annotation id that is there twice": (
        same_annotation_id,
        r"1 of the \d+ annotations have the id of another one:\n  annotation 1, on image 1",
    ),
    "file listed twice, its objects shared out": (
        split,
        r"1 of the 7 images name a file that another one names too, with other objects:\n"
        r"  00071198d059ba7f\.jpg: images 1, 990\n",
    ),
    "image without a height": (image(height=0), r"image 1, 00071198d059ba7f\.jpg: 256 x 0 px"),
    "NaN as a width": (image(width=math.nan), r"image 1, 00071198d059ba7f\.jpg: nan x 256 px"),
    "width as a string": (image(width="256"), r"image 1, 00071198d059ba7f\.jpg: '256' x 256 px"),
    "image that is no dict": (lambda content: content["images"].append(7), r"images\[6\] is of type int, not a dict"),
    "id that is a list": (annotation(id=[1]), r"annotations\[0\] has id=\[1\]"),
    "no object of the classes": (emptied, "would be left out by filter_cfg, so that nothing is left to train on"),
}

WARNINGS = {
    "zero width": (
        annotation(bbox=[46, 180, 0, 20]),
        rf"{WHERE}: 1 of the \d+ annotations have a box below 1 px in width or height, or of a negative size:\n"
        rf"  {FIRST}: bbox \[46, 180, 0, 20\]\nMMDetection leaves them out",
    ),
    "negative width": (annotation(bbox=[46, 180, -18, 20]), rf"{FIRST}: bbox \[46, 180, -18, 20\]"),
    "zero area": (annotation(area=0), rf"annotations have an area of 0 or less:\n  {FIRST}: area 0"),
    "box outside": (
        annotation(bbox=[300, 180, 18, 20]),
        rf"annotations have a box outside their image:\n  {FIRST}: bbox \[300, 180, 18, 20\], image 256 x 256",
    ),
    "box over the border": (
        annotation(bbox=[-20, 180, 30, 20]),
        rf"reaches more than 1 px beyond its image:\n  {FIRST}: bbox \[-20, 180, 30, 20\], image 256 x 256",
    ),
    "polygon of two points": (
        annotation(segmentation=[[1, 1, 9, 9]]),
        rf"a polygon of fewer than three points, or of an odd number of values:\n  {FIRST}: polygon \[1, 1, 9, 9\]",
    ),
    "polygon of an odd number of values": (
        annotation(segmentation=[POLYGON, [1, 1, 9, 1, 9, 9, 4]]),
        rf"{FIRST}: polygon \[1, 1, 9, 1, 9, 9, 4\]",
    ),
    "file listed twice with the same objects": (
        twice,
        r"with the same objects:\n  00071198d059ba7f\.jpg: images 1, 990",
    ),
}

GOOD = {
    "box that touches the border": annotation(bbox=[238, 236, 18, 20]),
    "box rounded over the border": annotation(bbox=[-0.4, 236.5, 18, 20]),
    "whole numbers with a point": image(width=256.0),
    "crowd of runs": annotation(segmentation=dict(size=[256, 256], counts=[65000, 500, 36]), iscrowd=1),
    "compressed runs": annotation(segmentation=dict(size=[256, 256], counts=COMPRESSED), iscrowd=1),
    "image without objects": lambda content: content["images"].append(
        dict(id=77, file_name="00071198d059ba7f-none.jpg", height=9, width=9)
    ),
    "a box of no use, to be ignored": annotation(bbox=[0, 0, 0, 0], ignore=1),
    "fields of one's own": annotation(score=math.nan, comment=None),
}


@pytest.fixture
def filtered(detection: Config) -> Config:
    """The tiny Mask R-CNN, whose training leaves empty images out."""
    detection.train_dataloader.dataset.dataset.filter_cfg = FILTER
    return detection


def check(root: Path) -> None:
    """Checks the training annotations as a run of the tiny Mask R-CNN does."""
    check_file(CocoFile(str(root / TRAIN_JSON), KEY, CLASSES, masks=True, filter_cfg=FILTER))


def objects(root: Path) -> int:
    """How many objects MMDetection's pipeline finds in the first image."""
    dataset = CocoDataset(
        ann_file=str(root / TRAIN_JSON),
        data_prefix=dict(img=str(root / "train")),
        metainfo=dict(classes=CLASSES),
        pipeline=[dict(type="mmdet.LoadImageFromFile"), LOAD, dict(type="mmdet.PackDetInputs")],
    )
    return len(dataset[0]["data_samples"].gt_instances)


@pytest.mark.parametrize("fault", ERRORS)
def test_a_fault_stops_a_run_and_is_named(root: Path, fault: str) -> None:
    """File, entry and value, before anything is built."""
    change, message = ERRORS[fault]
    edit_json(root / TRAIN_JSON, change)
    with pytest.raises(DataError, match=message) as error:
        check(root)
    assert f"{root / TRAIN_JSON}" in str(error.value)


@pytest.mark.parametrize("fault", WARNINGS)
def test_what_mmdetection_leaves_out_is_told_and_trains(root: Path, logged: list[str], fault: str) -> None:
    """A warning, and the pipeline makes a sample of the image all the same."""
    change, message = WARNINGS[fault]
    edit_json(root / TRAIN_JSON, change)
    check(root)
    assert re.search(message, "\n".join(logged)), logged
    assert objects(root) > 1


@pytest.mark.parametrize("case", GOOD)
def test_what_is_usual_passes_without_a_word(root: Path, logged: list[str], case: str) -> None:
    edit_json(root / TRAIN_JSON, GOOD[case])
    check(root)
    assert logged == []
    assert objects(root) > 1


def test_a_run_makes_these_checks(filtered: Config, root: Path) -> None:
    """With the masks, classes and filters that its config asks for."""
    edit_json(root / TRAIN_JSON, annotation(segmentation=[]))
    with pytest.raises(DataError, match=WHERE + r": 1 of the \d+ annotations have no segmentation"):
        check_config(filtered)
    edit_json(root / TRAIN_JSON, emptied)
    with pytest.raises(DataError, match="nothing is left to train on"):
        check_config(filtered)


def test_all_errors_of_a_file_are_told_at_once(root: Path) -> None:
    for change in (annotation(bbox=[0, 0, math.nan, 1]), same_image_id, lambda c: c["annotations"][3].pop("area")):
        edit_json(root / TRAIN_JSON, change)
    with pytest.raises(DataError, match=r"(?s)image 1, .*bbox \[0, 0, nan, 1\].*area None.*mmswinv2 check CONFIG"):
        check(root)


def test_masks_count_only_where_they_are_used(filtered: Config, root: Path) -> None:
    """A detector of boxes takes a file without segmentations; its scores of masks would need them."""
    for name in ("train", "val"):
        edit_json(root / f"annotations/instances_{name}.json", every(lambda one: one.pop("segmentation")))
    filtered.train_dataloader.dataset.dataset.pipeline[1].with_mask = False
    with pytest.raises(DataError, match=r"val_dataloader\.dataset\.ann_file .* annotations have no segmentation"):
        check_config(filtered)
    for name in ("val_evaluator", "test_evaluator"):
        filtered[name].metric = "bbox"
    check_config(filtered)


def test_boxes_outside_the_classes_are_looked_at_too(root: Path) -> None:
    """MMDetection reads the box of every annotation."""
    edit_json(root / TRAIN_JSON, lambda content: content["categories"].append(dict(id=77, name="dust")))
    edit_json(root / TRAIN_JSON, annotation(category_id=77, bbox=None))
    with pytest.raises(DataError, match=f"{FIRST}: bbox None"):
        check(root)


def test_files_of_coco_pass_without_a_warning(logged: list[str]) -> None:
    """A cut-out of COCO 2017 has nothing to complain of, crowds included."""
    for split_name in ("train", "val"):
        path = FIXTURES / f"coco/annotations/instances_{split_name}2017.json"
        check_file(CocoFile(str(path), "ann_file", masks=True))
    assert logged == []


def test_a_polygon_at_which_the_evaluation_fails_is_refused(detection: Config, root: Path) -> None:
    """pycocotools takes a first polygon of four values for a box. MMDetection's own loader would leave it out."""
    path = root / "annotations/instances_val.json"
    edit_json(path, annotation(segmentation=[[1, 1, 9, 9], POLYGON]))
    with pytest.raises(DataError, match=r"a first polygon of fewer than three points, at which the evaluation fails"):
        check_config(detection)
    coco = COCO(str(path))
    with pytest.raises(TypeError):
        coco.annToMask(next(iter(coco.anns.values())))  # so the check is right


def test_run_lengths_are_counted_as_pycocotools_writes_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        height, width = rng.integers(1, 300, 2)
        pixels = (rng.random((height, width)) > rng.random()).astype(np.uint8)
        counts = mask.encode(np.asfortranarray(pixels))["counts"].decode()
        assert run_total(counts) == height * width
