"""Subsets of labels: nested, stratified, the same for the same seed, of the right size."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mmswinv2.analysis.subsets import coco_classes, folder_classes, nested_order, subset, write_coco, write_list
from mmswinv2.errors import ConfigError

from ..support import ROOT

NUCLEI = ROOT / "demo/nuclei/annotations/instances_train.json"
CLASSES = {f"{label}{index}": label for label, count in (("a", 62), ("b", 250), ("c", 7)) for index in range(count)}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_smaller_share_lies_inside_a_larger_one(seed: int) -> None:
    order = nested_order(CLASSES, seed)
    assert sorted(order) == sorted(CLASSES)
    shares = [subset(order, percent) for percent in (5, 10, 25, 50, 100)]
    assert [len(share) for share in shares] == [16, 32, 80, 160, 319]  # 5 % of 319 are 15.95
    for smaller, larger in pairwise(shares):
        assert set(smaller) < set(larger)


def test_every_beginning_has_each_class_by_its_share() -> None:
    """Of 319 images 62, 250 and 7 are of a class; the first k have k * 62 / 319 of the first, give or take one."""
    order, totals = nested_order(CLASSES, seed=3), Counter(CLASSES.values())
    for count in range(1, len(order) + 1):
        found = Counter(CLASSES[name] for name in order[:count])
        for label, total in totals.items():
            assert abs(found[label] - count * total / len(order)) <= 1


def test_the_seed_alone_decides() -> None:
    """Not the order in which the images were listed."""
    backwards = dict(reversed(CLASSES.items()))
    assert nested_order(CLASSES, 0) == nested_order(backwards, 0)
    first, second = (subset(nested_order(CLASSES, seed), 10) for seed in (0, 1))
    assert len(set(first) & set(second)) < 16  # 3 of 32 by chance


@pytest.mark.parametrize(
    ("count", "percent", "message"),
    [
        (20, 2, "2 % of 20 images is not one: choose a larger share or more images"),
        (0, 10, "10 % of 0 images is not one"),
        (20, 101, "101 % is no share of the images: choose more than 0, and 100 at the most"),
        (20, 0, "0 % is no share"),
    ],
)
def test_what_is_no_subset(count: int, percent: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        subset([str(index) for index in range(count)], percent)


def test_classes_of_folders_and_of_coco_files(tmp_path: Path) -> None:
    """Of several classes in an image the most frequent counts."""
    for name in ("roses/b.jpg", "daisy/a.jpg", "daisy/c.txt"):
        write_list(tmp_path / name, [])
    assert folder_classes(tmp_path) == {"daisy/a.jpg": "daisy", "roses/b.jpg": "roses"}
    coco = {
        "images": [{"id": 7, "file_name": "x.jpg"}, {"id": 8, "file_name": "empty.jpg"}],
        "annotations": [{"image_id": 7, "category_id": category} for category in (3, 5, 5)],
    }
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(coco))
    assert coco_classes(file) == {"x.jpg": "5", "empty.jpg": ""}


def test_kinds_of_nuclei_are_those_of_the_list_of_tissue() -> None:
    """62 of the 312 images are stained tissue, category 2."""
    tissue = {name.removesuffix(".jpg") for name, label in coco_classes(NUCLEI).items() if label == "2"}
    assert tissue == set((ROOT / "demo/nuclei/semantic/train_histology.txt").read_text().split())


def test_a_part_of_a_coco_file_has_all_objects_of_its_images(tmp_path: Path) -> None:
    whole = json.loads(NUCLEI.read_text())
    names = [image["file_name"] for image in whole["images"][:5]]
    part = json.loads(Path(write_coco(tmp_path / "lists/part.json", NUCLEI, names)).read_text())
    assert [image["file_name"] for image in part["images"]] == names
    assert boxes_of(part) == {name: boxes for name, boxes in boxes_of(whole).items() if name in names}
    assert part["categories"] == whole["categories"]


def test_images_of_a_coco_file_that_come_several_times_have_ids_of_their_own(tmp_path: Path) -> None:
    names = [image["file_name"] for image in json.loads(NUCLEI.read_text())["images"][:3]]
    once = json.loads(Path(write_coco(tmp_path / "once.json", NUCLEI, names)).read_text())
    file = write_coco(tmp_path / "often.json", NUCLEI, names, lambda name: 3 if name == names[1] else 1)
    often = json.loads(Path(file).read_text())
    assert [image["file_name"] for image in often["images"]] == [names[0], *[names[1]] * 3, names[2]]
    for key in ("images", "annotations"):
        assert len({one["id"] for one in often[key]}) == len(often[key])
    expected = {name: boxes * (3 if name == names[1] else 1) for name, boxes in boxes_of(once).items()}
    assert boxes_of(often) == expected


def boxes_of(coco: dict[str, Any]) -> dict[str, list[Any]]:
    """The boxes of the objects of each image, by its name."""
    found: dict[str, list[Any]] = {image["file_name"]: [] for image in coco["images"]}
    file_names = {image["id"]: image["file_name"] for image in coco["images"]}
    for one in coco["annotations"]:
        found[file_names[one["image_id"]]].append((one["category_id"], one["bbox"]))
    return found
