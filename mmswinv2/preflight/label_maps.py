"""Checks that label maps hold the classes of a data set, as MMSegmentation's loader would take them."""

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image, UnidentifiedImageError

from ..errors import UnreadableImageError, name_some
from ..upstream import loads_label_map
from .faults import ERROR, Fault, Kind

CHANNELS = Kind(
    "label-map-channels",
    ERROR,
    "label maps looked at have more than the one channel of class indices",
    "Colours are no classes: write the index of each pixel's class into a PNG of one channel",
)
MAP_SIZE = Kind(
    "label-map-size",
    ERROR,
    "label maps looked at have another size than their image",
    "A label map has a value for each pixel of its image: write it anew in the image's size",
)
ONE_PIXEL = Kind(
    "label-map-one-pixel",
    ERROR,
    "label maps looked at have a side of 1 px, which MMSegmentation's loader cannot read",
    "Remove them and their images",
)
LARGEST = 255  # the loader keeps 8 bits


def reads_label_maps(dataset: BaseDataset) -> bool:
    """Whether the pipeline loads label maps as MMSegmentation does, pixel values being class indices."""
    return bool(dataset.metainfo.get("classes")) and any(map(loads_label_map, dataset.pipeline.transforms))


def read_label_map(path: str) -> np.ndarray:
    """Returns a label map; of a palette image the indices.

    Raises:
        UnreadableImageError: It does not decode.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except FileNotFoundError as error:
        raise UnreadableImageError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"{path}: it is not an image") from error
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises for broken content
        raise UnreadableImageError(f"{path}: {error}") from error


def values_fault(path: str, label_map: np.ndarray, dataset: BaseDataset) -> tuple[Kind, Fault] | None:
    """Says what MMSegmentation's loader would make nonsense of in a label map; None if nothing is.

    Args:
        path: Its file.
        label_map: What the file holds.
        dataset: An MMSegmentation data set, whose classes, ``label_map``, ``reduce_zero_label`` and
            ``ignore_index`` say what the values may be.
    """
    if label_map.ndim != 2:
        return CHANNELS, Fault(path, f"{path}: shape {label_map.shape}")
    if 1 in label_map.shape:
        return ONE_PIXEL, Fault(path, f"{path}: {label_map.shape[1]} x {label_map.shape[0]} px")
    values = np.unique(label_map).tolist()
    allowed = {dataset.ignore_index, *range(len(dataset.metainfo["classes"]))}
    outside = [value for value in values if class_of(value, dataset) not in allowed or value > LARGEST]
    if not outside:
        return None
    kind = Kind("label-values", ERROR, "label maps looked at hold values outside the classes", values_hint(dataset))
    return kind, Fault(path, f"{path}: value {name_some(outside, 10)}")


def class_of(value: int, dataset: BaseDataset) -> int:
    """Returns the class index that the pipeline makes of a label map's value, by the same steps."""
    if dataset.reduce_zero_label:
        value = 255 if value in (0, 255) else value - 1
    return (dataset.label_map or {}).get(value, value)


def values_hint(dataset: BaseDataset) -> str:
    """Says what values the label maps of a data set may hold, and what is usually amiss."""
    classes = len(dataset.metainfo["classes"])
    if dataset.reduce_zero_label:
        return (
            f"The data set has {classes} classes and reduce_zero_label=True, so values are 1 to {classes}, and 0 or "
            "255 where a pixel is ignored. If the maps' first class is 0, set reduce_zero_label=False in the data set"
        )
    return (
        f"The data set has {classes} classes and reduce_zero_label=False, so values are 0 to {classes - 1}, and "
        f"{dataset.ignore_index} where a pixel is ignored. If 0 means unlabelled and classes start at 1, set "
        "reduce_zero_label=True in the data set"
    )
