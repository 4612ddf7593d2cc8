"""Checks that the heads of a model fit the data."""

from collections.abc import Iterator

from torch import nn

from ..datasets.image_dataset import ImageDataset
from ..errors import ConfigError, list_some, name_some
from ..models.backbone import unwrapped
from ..models.classifier import ImageClassifier

# Heads with one class by design (object or not), or with classes of their own (stuff beside things).
OWN_CLASSES = ("rpn_head", "semantic_head")


def check_class_counts(model: nn.Module, metainfo: dict, dataset_key: str) -> None:
    """Compares the classes of a data set with every head of the model.

    Args:
        model: A detector, segmentor or classifier, wrapped or not.
        metainfo: The data set's, with ``classes``; panoptic ones have ``thing_classes`` and ``stuff_classes`` too.
        dataset_key: Config key of the data set, for the error.

    Raises:
        ConfigError: Names the config keys of the heads and of the data set, with both counts.
    """
    model = unwrapped(model)
    classes = metainfo.get("classes")
    if not classes or hasattr(model, "language_model"):  # an open vocabulary has no fixed classes
        return
    if isinstance(classes, str):
        raise ConfigError(f"{dataset_key}.metainfo.classes is the string {classes!r}: write classes=({classes!r},)")
    wrong = []
    for key, count, expected in _counts(model, metainfo):
        if count != expected:
            wrong.append(f"  {key} is {count}, the data has {expected}")
    if wrong:
        raise ConfigError(
            f"The model's heads and {dataset_key} disagree about the number of classes:\n"
            + "\n".join(wrong)
            + f"\nThe data's classes are {name_some(classes, 10)}: "
            "set the heads' numbers, or dataset.metainfo.classes, in the config"
        )


def _counts(model: nn.Module, metainfo: dict) -> Iterator[tuple[str, int, int]]:
    """Yields (config key, number of classes of the head, number of classes of the data)."""
    classes = len(metainfo["classes"])
    if isinstance(model, ImageClassifier):
        yield "model.num_classes", model.num_classes, classes
    things = len(metainfo.get("thing_classes", ())) or classes
    for name, head in model.named_modules():
        parts = name.split(".")
        if not _is_head(parts) or "RPN" in type(head).__name__:  # the detector RPN calls its head bbox_head
            continue
        count = getattr(head, "num_classes", None)
        if not isinstance(count, int):
            continue
        # A panoptic head predicts things and stuff. MMSegmentation's Mask2Former has MMDetection's
        # two numbers as well, but at their defaults, and its own num_classes counts.
        panoptic = hasattr(head, "num_things_classes")
        if panoptic and count == head.num_things_classes + head.num_stuff_classes:
            yield f"model.{name}.num_things_classes + num_stuff_classes", count, classes
        else:
            yield f"model.{name}.num_classes", count, classes if panoptic else things


def _is_head(parts: list[str]) -> bool:
    """Whether a module's path, such as roi_head.bbox_head.0, ends at a head that has the data's classes."""
    last = next((part for part in reversed(parts) if not part.isdigit()), "")
    return "head" in last and not any(part in OWN_CLASSES for part in parts)


def check_labels(model: ImageClassifier, dataset: ImageDataset, key: str) -> None:
    """Compares the greatest label with the classifier's number of classes.

    Args:
        model: The classifier.
        dataset: The data. Its classes may have no names.
        key: Its config key, for the error.

    Raises:
        ConfigError: Names the list file, the label and the setting of the model.
    """
    if dataset.max_label >= model.num_classes:
        raise ConfigError(
            f"{key}.ann_file ({dataset.ann_file}) has the label {dataset.max_label}, but model.num_classes is "
            f"{model.num_classes}: labels count from 0, so they go up to {model.num_classes - 1}. Mend the list or the "
            "model"
        )


def check_same_classes(train: ImageDataset, other: ImageDataset, key: str) -> None:
    """Compares the classes of the training data with those of a data set to evaluate on, where both have names.

    Raises:
        ConfigError: Names the first labels that mean different classes.
    """
    names, others = train.metainfo.get("classes"), other.metainfo.get("classes")
    if not names or not others or names == others:
        return
    pairs = enumerate(zip(names, others, strict=False))
    differing = [f"label {label}: {name} and {another}" for label, (name, another) in pairs if name != another]
    raise ConfigError(
        f"Training has {len(names)} classes and {key} {len(others)}, numbered differently:\n"
        f"{list_some(differing or [f'one ends after label {min(len(names), len(others)) - 1}'])}\n"
        "Labels follow the sorted names of the class folders: mend these, or set the same metainfo.classes in both"
    )
