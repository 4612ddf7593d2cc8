"""The demonstration's scores, baselines and pictures: what its table says is right."""

import importlib
import json
from collections import Counter
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from ..support import ROOT

NUCLEI = ROOT / "demo/nuclei"
ANNOTATIONS = NUCLEI / "annotations/instances_val.json"
CLASSES = ["background", "fluorescence-nucleus", "histology-nucleus"]


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Imports a script of the demo folder, which is no package."""
    monkeypatch.syspath_prepend(str(ROOT / "demo"))
    return importlib.import_module


@pytest.fixture
def some_images(tmp_path: Path) -> Path:
    """COCO annotations of six validation images, three of each class."""
    coco = json.loads(ANNOTATIONS.read_text())
    of_class = {ann["image_id"]: ann["category_id"] for ann in coco["annotations"]}
    ids = [image for kind in (1, 2) for image in [i for i, c in of_class.items() if c == kind][:3]]
    coco["images"] = [image for image in coco["images"] if image["id"] in ids]
    coco["annotations"] = [ann for ann in coco["annotations"] if ann["image_id"] in ids]
    file = tmp_path / "some.json"
    file.write_text(json.dumps(coco))
    return file


def write_results(annotations: Path, prefix: Path, keep: int = 100) -> None:
    """The truth as COCO results, the first ``keep`` objects of each image."""
    coco = COCO(str(annotations))
    boxes, masks = [], []
    for image in coco.getImgIds():
        for ann in coco.loadAnns(coco.getAnnIds(image))[:keep]:
            result = {"image_id": image, "category_id": ann["category_id"], "score": 1.0}
            boxes.append({**result, "bbox": ann["bbox"]})
            rle = coco.annToRLE(ann)
            masks.append({**result, "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()}})
    Path(f"{prefix}.bbox.json").write_text(json.dumps(boxes))
    Path(f"{prefix}.segm.json").write_text(json.dumps(masks))


def test_truth_scores_one_and_nothing_scores_zero(demo: ModuleType, some_images: Path, tmp_path: Path) -> None:
    """Overall and for each class, boxes and masks."""
    scores = demo("scores")
    write_results(some_images, tmp_path / "truth")
    write_results(some_images, tmp_path / "nothing", keep=0)
    assert_all(scores.detection_scores(some_images, tmp_path / "truth"), 1.0)
    assert_all(scores.detection_scores(some_images, tmp_path / "nothing"), 0.0)


def test_every_object_of_a_crowded_image_counts(demo: ModuleType, tmp_path: Path) -> None:
    """The fullest validation image has 111 nuclei, where COCO's metric stops at 100 detections."""
    coco = json.loads(ANNOTATIONS.read_text())
    [(fullest, count)] = Counter(ann["image_id"] for ann in coco["annotations"]).most_common(1)
    assert 100 < count < demo("scores").DETECTIONS
    coco["images"] = [image for image in coco["images"] if image["id"] == fullest]
    coco["annotations"] = [ann for ann in coco["annotations"] if ann["image_id"] == fullest]
    crowded = tmp_path / "crowded.json"
    crowded.write_text(json.dumps(coco))
    write_results(crowded, tmp_path / "truth", keep=count)
    found = demo("scores").detection_scores(crowded, tmp_path / "truth")
    assert found["all"]["box AP"] == found["all"]["mask AP50"] == pytest.approx(1)


def assert_all(scores: dict, value: float) -> None:
    assert set(scores) == {"all", *CLASSES[1:]}
    for values in scores.values():
        assert values == pytest.approx(dict.fromkeys(("box AP", "box AP50", "mask AP", "mask AP50"), value), abs=1e-6)


def test_iou_is_right_for_known_label_maps(demo: ModuleType, tmp_path: Path) -> None:
    """Unlabelled pixels do not count; the mean is over classes."""
    truth = np.array([[0, 1, 1, 2], [2, 2, 3, 3]], np.uint8)
    prediction = np.array([[3, 1, 2, 2], [2, 2, 3, 1]], np.uint8)
    for name, labels in (("truth", truth), ("prediction", prediction)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), labels)
    scores = demo("scores").segmentation_scores(tmp_path / "truth", tmp_path / "prediction", CLASSES)
    expected = {CLASSES[0]: 1 / 3, CLASSES[1]: 3 / 4, CLASSES[2]: 1 / 2}
    assert {name: scores[name]["IoU"] for name in CLASSES} == pytest.approx(expected)
    assert scores["all"]["IoU"] == pytest.approx(sum(expected.values()) / 3)


def test_missing_prediction_is_named(demo: ModuleType, tmp_path: Path) -> None:
    """A label map that was not predicted must not pass as anything."""
    (tmp_path / "truth").mkdir()
    cv2.imwrite(str(tmp_path / "truth/a.png"), np.ones((4, 4), np.uint8))
    with pytest.raises(FileNotFoundError, match=r"predicted/a\.png"):
        demo("scores").segmentation_scores(tmp_path / "truth", tmp_path / "predicted", CLASSES)


def test_classical_baselines_work(demo: ModuleType, some_images: Path, tmp_path: Path) -> None:
    """A weak baseline would flatter the models: both methods find most nuclei, class by colour included."""
    baselines, scores = demo("baselines"), demo("scores")
    baselines.write_watershed_results(some_images, NUCLEI / "val", tmp_path / "watershed/val")
    detection = scores.detection_scores(some_images, tmp_path / "watershed/val")
    assert detection["fluorescence-nucleus"]["box AP50"] > 0.5
    assert detection["histology-nucleus"]["box AP50"] > 0.1
    baselines.write_otsu_labels(NUCLEI / "val", tmp_path / "otsu")
    segmentation = scores.segmentation_scores(NUCLEI / "semantic/val", tmp_path / "otsu", CLASSES)
    assert segmentation["all"]["IoU"] > 0.8


def test_tint_colours_each_class_and_leaves_the_background(demo: ModuleType) -> None:
    """Labels 2 and 3 are the two kinds of nuclei."""
    pixels = np.full((2, 2, 3), 0.5, np.float32)
    tinted = demo("pictures").tint(pixels, np.array([[0, 1], [2, 3]], np.uint8))
    assert (tinted[0] == 0.5).all()
    assert len(np.unique(tinted.reshape(4, 3), axis=0)) == 3


def test_outline_follows_the_masks(demo: ModuleType, some_images: Path) -> None:
    """Lines are drawn along the borders of the objects and nowhere else."""
    coco = COCO(str(some_images))
    image = coco.loadImgs(coco.getImgIds())[0]
    annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
    drawn = demo("pictures").outline(np.zeros((image["height"], image["width"], 3), np.float32), annotations, coco)
    mask = cv2.resize(np.max([coco.annToMask(ann) for ann in annotations], axis=0), drawn.shape[1::-1])
    lines = drawn.any(axis=2)
    near = cv2.dilate(mask, np.ones((7, 7))) > cv2.erode(mask, np.ones((7, 7)))
    inner = sum(cv2.erode(coco.annToMask(ann), np.ones((3, 3))) for ann in annotations)  # touching objects share lines
    assert lines.any()
    assert not lines[(cv2.dilate(mask, np.ones((7, 7))) == 0)].any()
    assert lines[near].mean() > 0.3
    assert lines[cv2.resize(cv2.erode(inner, np.ones((5, 5))), drawn.shape[1::-1]) > 0].mean() < 0.1


def test_sheets_hold_the_first_images_of_each_class(demo: ModuleType, some_images: Path, tmp_path: Path) -> None:
    """One row an image, in order of file name: nobody chose the best ones."""
    pictures = demo("pictures")
    write_results(some_images, tmp_path / "truth")
    truth = NUCLEI / "semantic/val"
    pictures.draw_detections(some_images, NUCLEI / "val", tmp_path / "truth.segm.json", tmp_path / "a.png", per_class=2)
    pictures.draw_segmentations(some_images, NUCLEI / "val", truth, truth, tmp_path / "b.png", per_class=2)
    for name in ("a", "b"):
        height, width, _ = cv2.imread(str(tmp_path / f"{name}.png")).shape
        assert height / width == pytest.approx(4 / 3, rel=0.05)  # 4 rows of 3 pictures
    chosen = [image["file_name"] for image in pictures.choose_images(some_images, 2)]
    assert len(chosen) == 4 and chosen[:2] == sorted(chosen[:2]) and chosen[2:] == sorted(chosen[2:])
