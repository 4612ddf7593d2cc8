"""Checks the boxes and ids of COCO annotations.

What MMDetection itself leaves out is told, not refused: COCO's own files hold a few boxes without area. What cannot be
a box is refused, and so is a file of which more than half would be left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from math import isfinite
from typing import Any

import numpy as np

from .faults import ERROR, NOTE, WARNING, Fault, Finding, Kind, found

BAD_BOX = Kind(
    "malformed-box",
    ERROR,
    "annotations have a bbox that is no list of four finite numbers",
    "A bbox is [x, y, width, height] in pixels: mend or remove these annotations",
)
BAD_AREA = Kind(
    "malformed-area",
    ERROR,
    "annotations have an area that is no finite number, or none",
    "MMDetection asks for it. Write the area of the segmentation, or width times height of the bbox",
)
BAD_SIZE = Kind(
    "malformed-size",
    ERROR,
    "images have a height or width that is no positive whole number",
    "Write the image's size in pixels",
)
THIN = Kind(
    "thin-box",
    WARNING,
    "annotations have a box below 1 px in width or height, or of a negative size",
    "MMDetection leaves them out: their objects are trained as background",
)
NO_AREA = Kind(
    "zero-area",
    WARNING,
    "annotations have an area of 0 or less",
    "MMDetection leaves them out: their objects are trained as background",
)
OUTSIDE = Kind(
    "box-outside",
    WARNING,
    "annotations have a box outside their image",
    "MMDetection leaves them out. Do their coordinates belong to another size of the image?",
)
BEYOND = Kind(
    "box-beyond-border",
    WARNING,
    "annotations have a box that reaches more than 1 px beyond its image",
    "Resize cuts it at the border. If these are many: a bbox is [x, y, width, height], not [x1, y1, x2, y2]",
)
MOSTLY_LEFT_OUT = Kind(
    "mostly-left-out",
    ERROR,
    "annotations would be left out by MMDetection, so that hardly anything would be trained",
    "A bbox is [x, y, width, height] in pixels, not in parts of the image; area and image sizes are in pixels too",
)
DOUBLE_IMAGE = Kind(
    "duplicate-image-id",
    ERROR,
    "images have the id of another one",
    "Of images of one id the last alone would be used, with the objects of all: give each its own id",
)
DOUBLE_ANNOTATION = Kind(
    "duplicate-annotation-id",
    ERROR,
    "annotations have the id of another one",
    "MMDetection and pycocotools find annotations by their id: number them anew",
)
SPLIT_FILE = Kind(
    "file-listed-twice",
    ERROR,
    "images name a file that another one names too, with other objects",
    "The objects of one entry would be trained as background in the other: join them into one image",
)
DOUBLE_FILE = Kind(
    "file-listed-again",
    WARNING,
    "images name a file that another one names too, with the same objects",
    "They count twice in training and in scores",
)
NOTHING = Kind(
    "no-objects",
    NOTE,
    "images have no object of the classes",
    "With filter_cfg=dict(filter_empty_gt=True) training leaves them out, else they are all background",
)

BEYOND_BY = 1.0  # px; boxes that touch the border are rounded
MOST = 0.5


def finite(values: Iterable[Any]) -> bool:
    """Whether all values are finite numbers."""
    try:
        return isfinite(sum(values))
    except (TypeError, OverflowError):
        return False


def is_box(box: object) -> bool:
    """Whether something from a JSON file is a list of four finite numbers."""
    return isinstance(box, list) and len(box) == 4 and finite(box)


def is_side(length: object) -> bool:
    """Whether something from a JSON file is the height or width of an image."""
    return isinstance(length, (int, float)) and finite([length]) and length == int(length) and length > 0


def annotation_fault(path: str, entry: tuple[dict, dict], says: str) -> Fault:
    """Returns the fault of an entry, a pair of annotation and image."""
    annotation, image = entry
    name = f"annotation {annotation.get('id')}"
    return Fault(path, f"{name} of {image['file_name']}: {says}", name)


def shortened(value: object) -> str:
    """Returns a value as text of at most 80 characters."""
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def annotation_faults(
    path: str, entries: Sequence[tuple[dict, dict]], chosen: Iterable[int], say: str = "bbox"
) -> list[Fault]:
    """Returns the faults of the ``chosen`` ones of ``entries``; ``say`` is the key to show."""
    return [
        annotation_fault(path, entry, f"{say} {shortened(entry[0].get(say))}")
        for entry in (entries[index] for index in chosen)
    ]


def box_findings(path: str, key: str, entries: Sequence[tuple[dict, dict]]) -> tuple[list[Finding], np.ndarray]:
    """Checks boxes and areas.

    Args:
        path: The COCO file.
        key: What to call it.
        entries: Pairs of annotation and image, the image's size being right.

    Returns:
        The findings; and of each entry, whether MMDetection keeps it.
    """
    total = len(entries)
    good = np.array([is_box(annotation.get("bbox")) for annotation, _ in entries], bool)
    measured = np.array([finite([annotation.get("area")]) for annotation, _ in entries], bool)
    findings = found(BAD_BOX, key, total, annotation_faults(path, entries, np.flatnonzero(~good)))
    findings += found(BAD_AREA, key, total, annotation_faults(path, entries, np.flatnonzero(~measured), "area"))
    usable = np.flatnonzero(good & measured)
    rows = [entries[index] for index in usable.tolist()]
    boxes = _rows(4, (annotation["bbox"] for annotation, _ in rows))
    areas = np.array([annotation["area"] for annotation, _ in rows], float)
    sizes = _rows(2, ((image["width"], image["height"]) for _, image in rows))
    starts, sides = boxes[:, :2], boxes[:, 2:]
    ends = starts + sides
    inside = np.minimum(ends, sizes) - np.maximum(starts, 0)
    thin = (sides < 1).any(axis=1)
    flat = (areas <= 0) & ~thin
    outside = (inside <= 0).any(axis=1) & ~thin & ~flat
    left_out = thin | flat | outside
    beyond = np.maximum(-starts, ends - sizes).max(axis=1, initial=0) > BEYOND_BY
    if left_out.sum() > MOST * total:
        findings += found(MOSTLY_LEFT_OUT, key, total, annotation_faults(path, entries, usable[left_out]))
    else:
        findings += found(THIN, key, total, annotation_faults(path, entries, usable[thin]))
        findings += found(NO_AREA, key, total, annotation_faults(path, entries, usable[flat], "area"))
        findings += found(OUTSIDE, key, total, _beside_sizes(path, entries, usable[outside]))
    findings += found(BEYOND, key, total, _beside_sizes(path, entries, usable[beyond & ~left_out]))
    kept = np.zeros(total, bool)
    kept[usable] = ~left_out
    return findings, kept


def _rows(length: int, rows: Iterable[Iterable[float]]) -> np.ndarray:
    """Returns rows of equal length as one array, faster than numpy finds out that they are."""
    return np.fromiter(chain.from_iterable(rows), float).reshape(-1, length)


def _beside_sizes(path: str, entries: Sequence[tuple[dict, dict]], chosen: Iterable[int]) -> list[Fault]:
    return [
        annotation_fault(
            path, (annotation, image), f"bbox {annotation['bbox']}, image {image['width']} x {image['height']}"
        )
        for annotation, image in (entries[index] for index in chosen)
    ]


def id_findings(path: str, key: str, images: Sequence[dict], annotations: Sequence[dict]) -> list[Finding]:
    """Finds ids that more than one image or annotation has."""
    return [
        *found(DOUBLE_IMAGE, key, len(images), _repeated(path, "image", images)),
        *found(DOUBLE_ANNOTATION, key, len(annotations), _repeated(path, "annotation", annotations)),
    ]


def _repeated(path: str, what: str, entries: Sequence[dict]) -> list[Fault]:
    seen, faults = set(), []
    for entry in entries:
        if entry["id"] in seen:
            place = f"{entry['file_name']}" if what == "image" else f"on image {entry.get('image_id')}"
            faults.append(Fault(path, f"{what} {entry['id']}, {place}", f"{what} {entry['id']}"))
        seen.add(entry["id"])
    return faults


def file_findings(path: str, key: str, images: Sequence[dict], annotations: Sequence[dict]) -> list[Finding]:
    """Finds image files that are listed more than once, and tells those with other objects from mere repetitions."""
    by_name = defaultdict(list)
    for image in images:
        by_name[image["file_name"]].append(image["id"])
    repeated = {name: ids for name, ids in by_name.items() if len(ids) > 1}
    if not repeated:
        return []
    wanted = {identity for ids in repeated.values() for identity in ids}
    objects = defaultdict(list)
    for annotation in annotations:
        if annotation["image_id"] in wanted:
            objects[annotation["image_id"]].append(f"{annotation.get('category_id')} {annotation.get('bbox')}")
    split: list[Fault] = []
    double: list[Fault] = []
    for name, ids in repeated.items():
        alike = all(sorted(objects[identity]) == sorted(objects[ids[0]]) for identity in ids[1:])
        (double if alike else split).append(
            Fault(path, f"{name}: images {', '.join(map(str, ids))}", f"image {ids[-1]}")
        )
    return found(SPLIT_FILE, key, len(images), split) + found(DOUBLE_FILE, key, len(images), double)
