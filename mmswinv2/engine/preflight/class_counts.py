"""Do the heads predict as many classes as the data has?"""

from collections.abc import Iterator

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from ...models.image_classifier import ImageClassifier
from .errors import ConfigError

# One class by design (object or not), or classes of their own (stuff beside things).
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
            + f"\nThe data's classes are {', '.join(map(str, classes[:10]))}{' ...' if len(classes) > 10 else ''}: "
            "set the heads' numbers, or dataset.metainfo.classes, in the config"
        )


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel or a wrapper for test time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _counts(model: nn.Module, metainfo: dict) -> Iterator[tuple[str, int, int]]:
    """Triples of (config key, number of classes of the head, number of the data)."""
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
