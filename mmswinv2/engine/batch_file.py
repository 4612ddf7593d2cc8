"""A batch as plain data and back, so that a file of it can be read by a reader that runs nothing.

Batches of MMDetection and MMSegmentation hold objects of theirs. Each becomes a dict of its parts under the name of its
class, and only the classes of :data:`CLASSES` are made again.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError, DataError

CLASS = "__class__"
# Elements of MMEngine's kind, which have metainfo and data; and where each is to be imported from.
ELEMENTS = {
    "InstanceData": "mmengine.structures",
    "PixelData": "mmengine.structures",
    "LabelData": "mmengine.structures",
    "DetDataSample": "mmdet.structures",
    "SegDataSample": "mmseg.structures",
}
MASKS = {"BitmapMasks": "mmdet.structures.mask", "PolygonMasks": "mmdet.structures.mask"}
BOXES = {"HorizontalBoxes": "mmdet.structures.bbox"}
CLASSES = {**ELEMENTS, **MASKS, **BOXES}
PLAIN = (bool, int, float, str, bytes, type(None))


def to_plain(value: Any) -> Any:
    """Returns a batch as tensors, numbers, texts, and lists, tuples and dicts of them.

    Raises:
        DataError: The batch holds an object of a class that is not in :data:`CLASSES`.
    """
    name = type(value).__name__
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {CLASS: "ndarray", "data": torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: to_plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(to_plain(inner) for inner in value)
    if isinstance(value, list):
        return [to_plain(inner) for inner in value]
    if type(value) in PLAIN:
        return value
    if name in ELEMENTS:
        parts = {"metainfo": dict(value.metainfo_items()), "data": dict(value.items())}
    elif name in MASKS:
        parts = {"masks": value.masks, "height": value.height, "width": value.width}
    elif name in BOXES:
        parts = {"tensor": value.tensor}
    else:
        raise DataError(f"a batch with an object of the class {name} cannot be written as plain data")
    return {CLASS: name, **{key: to_plain(inner) for key, inner in parts.items()}}


def from_plain(value: Any) -> Any:
    """Returns the batch of which :func:`to_plain` made ``value``.

    Raises:
        CheckpointError: It names a class that a batch has no need of.
    """
    if isinstance(value, tuple):
        return tuple(from_plain(inner) for inner in value)
    if isinstance(value, list):
        return [from_plain(inner) for inner in value]
    if not isinstance(value, Mapping):
        return value
    parts = {key: from_plain(inner) for key, inner in value.items() if key != CLASS}
    name = value.get(CLASS)
    if name is None:
        return parts
    if name == "ndarray":
        return parts["data"].numpy()
    if name not in CLASSES:
        raise CheckpointError(f"the file of the batch asks for the class {name!r}, which is none of {sorted(CLASSES)}")
    cls = getattr(import_module(CLASSES[name]), name)
    if name in ELEMENTS:
        element = cls(metainfo=parts["metainfo"])
        element.set_data(parts["data"])
        return element
    return cls(**parts) if name in MASKS else cls(parts["tensor"], clone=False)


def image_names(batch: Any) -> list[str]:
    """Returns the ``img_path`` of every image in a batch of any form, as far as it tells them."""
    if isinstance(batch, Mapping):
        paths = batch.get("img_path", [])
        own = [paths] if isinstance(paths, str) else [path for path in paths if isinstance(path, str)]
        return own + [path for key, inner in batch.items() if key != "img_path" for path in image_names(inner)]
    if isinstance(batch, list | tuple):
        return [path for inner in batch for path in image_names(inner)]
    path = getattr(batch, "img_path", None) if type(batch).__name__ in ELEMENTS else None
    return [path] if isinstance(path, str) else []
