"""Do label maps hold classes that the data set has?"""

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image


def reads_label_maps(dataset: BaseDataset) -> bool:
    """Whether the pipeline loads label maps as MMSegmentation does, pixel values being class indices."""
    return bool(dataset.metainfo.get("classes")) and any(
        type(transform).__name__ == "LoadAnnotations" and type(transform).__module__.startswith("mmseg.")
        for transform in dataset.pipeline.transforms
    )


def label_map_fault(path: str, dataset: BaseDataset) -> str | None:
    """What is wrong with a label map, None if nothing.

    Args:
        path: An image of one channel; a palette image counts by its indices.
        dataset: An MMSegmentation data set, whose classes, ``label_map``, ``reduce_zero_label`` and
            ``ignore_index`` say what the values may be.
    """
    try:
        with Image.open(path) as image:
            label_map = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises for broken content
        return f"{path}: {error}"
    if label_map.ndim != 2:
        return f"{path}: a label map has one channel of class indices, this has the shape {label_map.shape}"
    values = np.unique(label_map).tolist()
    allowed = {dataset.ignore_index, *range(len(dataset.metainfo["classes"]))}
    outside = [value for value in values if class_of(value, dataset) not in allowed]
    if not outside:
        return None
    shown = ", ".join(map(str, outside[:10])) + (" ..." if len(outside) > 10 else "")
    return f"{path}: value {shown}"


def class_of(value: int, dataset: BaseDataset) -> int:
    """The class index that the pipeline makes of a label map's value, in the pipeline's order."""
    if dataset.reduce_zero_label:
        value = 255 if value in (0, 255) else value - 1
    return (dataset.label_map or {}).get(value, value)


def values_hint(dataset: BaseDataset) -> str:
    """What values the label maps of a data set may hold, and what usually is amiss."""
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
