"""Checks COCO annotation files. pycocotools takes nearly anything, and training then sees no objects."""

import json
from collections.abc import Sequence

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset

from ..errors import ConfigError, DataError, list_some, name_some
from ..upstream import read_metainfo, reads_coco
from .config import annotation_file, dataset_class, is_local, leaf_datasets


def check_coco_annotations(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Checks the annotation file of every COCO data set of the given data loaders, each file once.

    Raises:
        ConfigError: A data set has no annotation file.
        DataError: Names the file, the config key and what is wrong in it.
        KeyError: MMEngine's, if a data set's type is unknown.
    """
    seen = set()
    for key, dataset in leaf_datasets(cfg, loaders):
        cls = dataset_class(dataset, cfg.get("default_scope"))
        if not reads_coco(cls) or not is_local(dataset):
            continue
        path, classes = annotation_file(dataset), _class_names(cls, dataset)
        if not path:
            raise ConfigError(f"{key}.ann_file is not set: {cls.__name__} takes its images and objects from that file")
        unlabelled = key.startswith("test_") and _format_only(cfg.get("test_evaluator"))
        if (path, classes, unlabelled) not in seen:
            seen.add((path, classes, unlabelled))
            check_file(path, f"{key}.ann_file", classes, unlabelled)


def check_file(path: str, key: str, classes: Sequence[str], unlabelled: bool = False) -> None:
    """Checks one COCO file.

    Args:
        path: The JSON file.
        key: Config key to name in errors.
        classes: Class names that the run asks of the file.
        unlabelled: Whether the file may come without annotations, as those of test sets do.

    Raises:
        DataError: Names the file, the config key and what is wrong in it.
    """
    where = f"{key} ({path})"
    content = _read(path, where)
    lists = ("images", "categories") if unlabelled else ("images", "annotations", "categories")
    lacking = [name for name in lists if not isinstance(content.get(name), list)]
    if lacking:
        raise DataError(
            f"{where} is no COCO annotation file: it has no list {', '.join(map(repr, lacking))}. "
            "A COCO file is a dict of the lists images, annotations and categories"
        )
    empty = [name for name in lists if not content[name]]
    if empty:
        raise DataError(f"{where}: the list {', '.join(map(repr, empty))} is empty, there is nothing to work on")
    try:
        _check_categories(content["categories"], where, classes)
        _check_references(content, where)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{where}: an entry lacks what COCO asks of it ({type(error).__name__}: {error}); images have id, "
            "file_name, height and width, annotations id, image_id, category_id and bbox, categories id and name"
        ) from error


def _read(path: str, where: str) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
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
    if not isinstance(content, dict):
        raise DataError(f"{where} is no COCO annotation file: it holds a {type(content).__name__}, not a dict")
    return content


def _check_categories(categories: list[dict], where: str, classes: Sequence[str]) -> None:
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


def _check_references(content: dict, where: str) -> None:
    """Checks that annotations point to images and categories that are there."""
    images = {image["id"] for image in content["images"]}
    for image in content["images"]:
        _ = image["file_name"], image["height"], image["width"]
    categories = {category["id"] for category in content["categories"]}
    dangling = []
    for annotation in content.get("annotations", ()):
        # A panoptic file has one annotation an image, with its segments in a list.
        for segment in annotation.get("segments_info", (annotation,)):
            if segment["category_id"] not in categories:
                dangling.append(f"annotation {segment['id']}: there is no category {segment['category_id']!r}")
        if annotation["image_id"] not in images:
            dangling.append(f"annotation {annotation.get('id')}: there is no image {annotation['image_id']!r}")
    if dangling:
        raise DataError(f"{where}: annotations refer to what the file does not hold:\n{list_some(dangling)}")


def _class_names(cls: type[BaseDataset], dataset: ConfigDict) -> tuple[str, ...]:
    """Returns the class names of a data set, from its config or its class. A file that metainfo names is read."""
    return tuple(read_metainfo(cls, dataset.get("metainfo")).get("classes") or ())


def _format_only(evaluator: dict | list | None) -> bool:
    evaluators = evaluator if isinstance(evaluator, list) else [evaluator or {}]
    return any(part.get("format_only") for part in evaluators)
