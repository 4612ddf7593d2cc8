"""Checks COCO annotation files. pycocotools takes nearly anything, and training then sees no objects."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset

from ..errors import ConfigError
from ..upstream import read_metainfo, reads_coco
from .annotations import BAD_SIZE, NOTHING, box_findings, file_findings, id_findings, is_side
from .coco_file import CocoFile, check_categories, is_panoptic, objects_of, read_coco, without_collection
from .config import annotation_file, dataset_class, is_local, leaf_datasets
from .faults import ERROR, NOTE, Fault, Finding, Kind, found, refuse
from .masks import mask_findings

NO_CATEGORY = Kind("unknown-category", ERROR, "annotations refer to a category that the file does not hold")
NO_IMAGE = Kind("unknown-image", ERROR, "annotations refer to an image that the file does not hold")
SMALL = Kind("small-image", NOTE, "images are smaller than filter_cfg.min_size, so that training leaves them out")
ALL_FILTERED = Kind(
    "nothing-left",
    ERROR,
    "images would be left out by filter_cfg, so that nothing is left to train on",
    "They have no object of the classes that counts, or are smaller than filter_cfg.min_size: set filter_cfg in the "
    "data set, or mend the annotations",
)
DECODED_RUNS = 10_000  # compressed run lengths that a run looks into


def check_coco_annotations(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Checks the annotation file of every COCO data set of the given data loaders, each file once.

    Raises:
        ConfigError: A data set has no annotation file.
        DataError: Names the file, the config key and what is wrong in it.
        KeyError: MMEngine's, if a data set's type is unknown.
    """
    for file, _ in coco_files(cfg, loaders):
        check_file(file)


def coco_files(cfg: Config, loaders: tuple[str, ...]) -> Iterator[tuple[CocoFile, ConfigDict]]:
    """Yields the annotation files of all COCO data sets on a disk, each once, with the config of the data set.

    Raises:
        ConfigError: A data set has no annotation file.
    """
    seen = set()
    for key, dataset in leaf_datasets(cfg, loaders):
        cls = dataset_class(dataset, cfg.get("default_scope"))
        if not reads_coco(cls) or not is_local(dataset):
            continue
        if not annotation_file(dataset):
            raise ConfigError(f"{key}.ann_file is not set: {cls.__name__} takes its images and objects from that file")
        file = coco_file(cfg, key, dataset)
        facts = str(replace(file, key=""))
        if facts not in seen:
            seen.add(facts)
            yield file, dataset


def coco_file(cfg: Config, key: str, dataset: ConfigDict) -> CocoFile:
    """Returns the annotation file of a data set and what the config asks of it."""
    evaluator = cfg.get(f"{key.partition('_')[0]}_evaluator")
    scored = any("segm" in (part.get("metric") or ()) for part in _listed(evaluator))
    training = not dataset.get("test_mode") and dataset.get("filter_cfg") is not None
    return CocoFile(
        annotation_file(dataset),
        f"{key}.ann_file",
        _class_names(dataset_class(dataset, cfg.get("default_scope")), dataset),
        unlabelled=key.startswith("test_") and any(part.get("format_only") for part in _listed(evaluator)),
        masks=scored or _loads_masks(dataset.get("pipeline")),
        scored=scored,
        filter_cfg=dataset.get("filter_cfg") if training else None,
    )


def check_file(file: CocoFile) -> None:
    """Checks one COCO file, and logs what MMDetection leaves out of it.

    Raises:
        DataError: Names the file, the config key and what is wrong in it.
    """
    with without_collection():
        content = read_coco(file)
        check_categories(content["categories"], file.where, file.classes)
        findings = coco_findings(file, content, DECODED_RUNS)
    refuse(findings)


def coco_findings(file: CocoFile, content: dict, decoded: int) -> list[Finding]:
    """Checks images and annotations of a file that :func:`read_coco` has read.

    Args:
        file: The file.
        content: What it holds.
        decoded: How many compressed run lengths to decode.
    """
    images, annotations = content["images"], list(objects_of(content))
    sized = {image["id"]: image for image in images if min(_sides(image))}
    unsized = [image for image in images if not min(_sides(image))]
    findings = [
        *_reference_findings(file, content, annotations),
        *id_findings(file.path, file.where, images, [] if is_panoptic(content) else annotations),
        *file_findings(file.path, file.where, images, annotations),
        *found(BAD_SIZE, file.where, len(images), _image_faults(file, unsized)),
    ]
    entries = [
        (annotation, sized[annotation["image_id"]])
        for annotation in annotations
        if annotation["image_id"] in sized and not annotation.get("ignore")
    ]
    boxes, kept = box_findings(file.path, file.where, entries)
    left = [entry for entry, keep in zip(entries, kept, strict=True) if keep]
    findings += boxes
    if file.masks and not is_panoptic(content):
        # The evaluation reads the masks of all objects, of those too that the data set leaves out.
        read = entries if file.scored else left
        findings += mask_findings(file.path, file.where, read, decoded, file.scored)
    return findings + _usage_findings(file, content, left)


def _reference_findings(file: CocoFile, content: dict, annotations: Sequence[dict]) -> list[Finding]:
    """Checks that annotations point to images and categories that are there."""
    images = {image["id"] for image in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    no_image = [one for one in annotations if one["image_id"] not in images]
    no_category = [one for one in annotations if one["category_id"] not in categories]
    return [
        *found(NO_IMAGE, file.where, len(annotations), _references(file, no_image, "image")),
        *found(NO_CATEGORY, file.where, len(annotations), _references(file, no_category, "category")),
    ]


def _references(file: CocoFile, annotations: Sequence[dict], what: str) -> list[Fault]:
    return [
        Fault(
            file.path,
            f"annotation {one['id']}: there is no {what} {one[f'{what}_id']!r}",
            f"annotation {one['id']}",
        )
        for one in annotations
    ]


def _usage_findings(file: CocoFile, content: dict, kept: Sequence[tuple[dict, dict]]) -> list[Finding]:
    """Tells which images hold no object that counts, and which are too small; refuses a file of no others."""
    if file.unlabelled:
        return []
    images = content["images"]
    wanted = {category["id"] for category in content["categories"] if category["name"] in file.classes}
    used = {image["id"] for annotation, image in kept if annotation["category_id"] in wanted}
    empty = [image for image in images if image["id"] not in used]
    findings = found(NOTHING, file.where, len(images), _image_faults(file, empty))
    if file.filter_cfg is None:
        return findings
    least = file.filter_cfg.get("min_size", 0)
    small = [image for image in images if min(_sides(image)) < least]
    left_out = {image["id"] for image in [*small, *(empty if file.filter_cfg.get("filter_empty_gt") else [])]}
    if all(image["id"] in left_out for image in images):
        return found(ALL_FILTERED, file.where, len(images), _image_faults(file, images))
    return findings + found(SMALL, file.where, len(images), _image_faults(file, small))


def _sides(image: dict) -> tuple[float, float]:
    """Returns height and width, 0 for what is none."""
    height, width = (image[side] if is_side(image[side]) else 0 for side in ("height", "width"))
    return height, width


def _image_faults(file: CocoFile, images: Sequence[dict]) -> list[Fault]:
    return [
        Fault(
            file.path,
            f"image {image['id']}, {image['file_name']}: {image['width']!r} x {image['height']!r} px",
            f"image {image['id']}",
        )
        for image in images
    ]


def _class_names(cls: type[BaseDataset], dataset: ConfigDict) -> tuple[str, ...]:
    """Returns the class names of a data set, from its config or its class. A file that metainfo names is read."""
    return tuple(read_metainfo(cls, dataset.get("metainfo")).get("classes") or ())


def _listed(evaluator: dict | list | None) -> list[dict]:
    return evaluator if isinstance(evaluator, list) else [evaluator or {}]


def _loads_masks(pipeline: object) -> bool:
    """Whether a transform loads masks, of those that stand inside others too."""
    if isinstance(pipeline, dict):
        return bool(pipeline.get("with_mask")) or any(map(_loads_masks, pipeline.values()))
    return isinstance(pipeline, (list, tuple)) and any(map(_loads_masks, pipeline))
