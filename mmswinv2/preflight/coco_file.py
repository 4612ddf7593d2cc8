"""Reads COCO annotation files, and refuses what is none."""

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import DataError, list_some, name_some
from .faults import ERROR, Fault, Finding, Kind, found

INCOMPLETE = Kind(
    "incomplete-entry",
    ERROR,
    "entries lack what COCO asks of them",
    "Images have id, file_name, height and width, annotations id, image_id and category_id, categories id and name",
)


@dataclass(frozen=True)
class CocoFile:
    """A COCO file and what a run asks of it.

    Attributes:
        path: The JSON file.
        key: Config key to name in errors.
        classes: Class names that the run asks of the file.
        unlabelled: Whether the file may come without annotations, as those of test sets do.
        masks: Whether the run uses the segmentations.
    scored: Whether an evaluation does.
        scored: Whether an evaluation does.
        filter_cfg: What training leaves out; None: it is not for training.
    """

    path: str
    key: str
    classes: Sequence[str] = ()
    unlabelled: bool = False
    masks: bool = False
    scored: bool = False
    filter_cfg: Mapping[str, Any] | None = None

    @property
    def where(self) -> str:
        """Key and path, as errors begin."""
        return f"{self.key} ({self.path})"


def read_coco(file: CocoFile) -> dict:
    """Reads a COCO file.

    Raises:
        DataError: It is not readable, or lacks a list.
    """
    content = _read(file.path, file.where)
    lists = ("images", "categories") if file.unlabelled else ("images", "annotations", "categories")
    lacking = [name for name in lists if not isinstance(content.get(name), list)]
    if lacking:
        raise DataError(
            f"{file.where} is no COCO annotation file: it has no list {', '.join(map(repr, lacking))}. "
            "A COCO file is a dict of the lists images, annotations and categories"
        )
    empty = [name for name in lists if not content[name]]
    if empty:
        raise DataError(f"{file.where}: the list {', '.join(map(repr, empty))} is empty, there is nothing to work on")
    incomplete = _incomplete(file, content)
    if incomplete:
        raise DataError("\n".join(map(str, incomplete)))
    return content


def is_panoptic(content: dict) -> bool:
    """Whether a file has one annotation for each image, with segments in it."""
    return "segments_info" in next(iter(content.get("annotations") or ()), ())


def objects_of(content: dict) -> Iterator[dict]:
    """Yields all annotations. A panoptic file has one for each image, with its segments in a list."""
    for annotation in content.get("annotations") or ():
        if "segments_info" in annotation:
            for segment in annotation["segments_info"]:
                yield {**segment, "image_id": annotation["image_id"]}
        else:
            yield annotation


def check_categories(categories: list[dict], where: str, classes: Sequence[str]) -> None:
    """Checks that a file has the classes that a run asks of it, in their order.

    Raises:
        DataError: Names the classes that are missing, or the order that is right.
    """
    names = {category["name"] for category in categories}
    missing = [name for name in classes if name not in names]
    if missing:
        raise DataError(
            f"{where} lacks {len(missing)} of the {len(classes)} classes of the data set, whose objects would be "
            f"left out silently:\n{list_some(map(repr, missing))}\n"
            f"The file's categories are {name_some(map(repr, sorted(names)), 20)}. "
            "Set dataset.metainfo=dict(classes=(...)) to the file's names, spelt alike"
        )
    order = [category["name"] for category in categories if category["name"] in classes]
    if order != list(classes):
        raise DataError(
            f"{where} lists its categories in another order than the data set its classes; MMDetection numbers them in "
            f"the file's order, so names would be swapped. Set dataset.metainfo=dict(classes={tuple(order)!r})"
        )


@contextmanager
def without_collection() -> Iterator[None]:
    """Lets Python not look for garbage among millions of new objects, which takes a third of the time of all COCO."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read(path: str, where: str) -> dict:
    try:
        with open(path, encoding="utf-8") as file, without_collection():
            content = json.load(file)
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where} is not readable as JSON: {error.msg} at line {error.lineno}, column {error.colno}. "
            "The file may be cut short: compare its size with the source's"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not readable as JSON: it is no text file ({error})") from error
    except RecursionError as error:
        raise DataError(f"{where} is not readable as JSON: its lists are nested too deeply") from error
    if not isinstance(content, dict):
        raise DataError(f"{where} is no COCO annotation file: it holds a {type(content).__name__}, not a dict")
    return content


def _incomplete(file: CocoFile, content: dict) -> list[Finding]:
    """Finds entries without the keys that all the other checks need."""
    needs: dict[str, dict[str, tuple[type, ...]]] = {
        "images": dict(id=(int, str), file_name=(str,), height=(object,), width=(object,)),
        "annotations": dict(id=(int, str), image_id=(int, str), category_id=(int, str)),
        "categories": dict(id=(int, str), name=(str,)),
    }
    findings = []
    for name, keys in needs.items():
        entries = content.get(name) or []
        faults = [
            Fault(file.path, f"{name}[{index}] {lack}", f"{name}[{index}]")
            for index, entry in enumerate(entries)
            if (lack := _lack(entry, keys))
        ]
        findings += found(INCOMPLETE, f"{file.where}, {name}", len(entries), faults)
    return findings


def _lack(entry: object, keys: Mapping[str, tuple[type, ...]]) -> str:
    """Says what an entry lacks; empty if it lacks nothing."""
    if not isinstance(entry, dict):
        return f"is of type {type(entry).__name__}, not a dict"
    if "segments_info" in entry:
        return _segments_lack(entry)
    for key, types in keys.items():
        if key not in entry:
            return f"has no {key!r}"
        if not isinstance(entry[key], types):
            return f"has {key}={entry[key]!r}"
    return ""


def _segments_lack(entry: dict) -> str:
    if not isinstance(entry.get("image_id"), (int, str)) or not isinstance(entry["segments_info"], list):
        return "has no 'image_id' or no list of segments"
    keys: dict[str, tuple[type, ...]] = dict(id=(int, str), category_id=(int, str))
    lacks = ((index, _lack(segment, keys)) for index, segment in enumerate(entry["segments_info"]))
    return next((f"segments_info[{index}] {lack}" for index, lack in lacks if lack), "")
