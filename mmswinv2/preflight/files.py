"""Checks that images, label maps and shards are there and whole.

The data of a run is looked at in two steps. First a few bytes of every file are read, which is quick enough for all of
COCO at every start, and finds JPEGs that are cut short: many decoders make a picture of them whose lower part is grey.
Then files are decoded: all of a small set, an evenly spread sample of a large one.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image, UnidentifiedImageError

from ..datasets.image_dataset import ImageShards
from ..datasets.transforms import LoadImage
from ..errors import UnreadableImageError, name_some
from ..upstream import loads_label_map

T = TypeVar("T")
THREADS = 16
MAX_READ = 200_000  # files whose ends are read: a larger set (ImageNet) is sampled
MAX_DECODED = 500

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
JPEG_END, JPEG_SCAN, PNG_END = b"\xff\xd9", b"\xff\xda", b"IEND"
DECODED_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def spread(items: Sequence[T], count: int) -> list[T]:
    """Returns at most ``count`` of ``items``, evenly spread. The first is always among them."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def map_files(check: Callable[[T], str | None], files: Sequence[T]) -> list[str]:
    """Returns the faults that ``check`` finds in files, given by path or index, in their order. Threads read them."""
    with ThreadPoolExecutor(THREADS) as pool:
        return [fault for fault in pool.map(check, files) if fault]


def end_fault(path: str) -> str | None:
    """Says what is wrong with a file, judged by its first and last bytes; None if nothing is."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            size = file.seek(0, 2)
            file.seek(max(0, size - 12))
            tail = file.read()
    except FileNotFoundError:
        return f"{path}: no such file"
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not head:
        return f"{path}: the file is empty"
    if head.startswith(JPEG):
        whole = tail.endswith(JPEG_END) or _jpeg_ends(path)
    elif head == PNG:
        whole = PNG_END in tail
    else:
        whole = Path(path).suffix.lower() not in DECODED_SUFFIXES
    # A file with a strange end may still be good (bytes appended to it): the strict decoder decides.
    return None if whole else decode_fault(path)


def _jpeg_ends(path: str) -> bool:
    """Whether the end marker follows the picture's scan, as in a JPEG with something appended to it."""
    data = Path(path).read_bytes()
    return data.rfind(JPEG_END) > data.rfind(JPEG_SCAN)


def decode_fault(path: str) -> str | None:
    """Says what a strict decoder finds wrong with an image file; None if it decodes.

    Files of other kinds (TIFF, raw arrays) pass: only the pipeline knows them.
    """
    if Path(path).suffix.lower() not in DECODED_SUFFIXES:
        return None
    try:
        with Image.open(path) as image:
            image.load()
    except Image.DecompressionBombError:
        return None  # it is large, not broken
    except UnidentifiedImageError:
        return f"{path}: it is not an image"
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises for broken content
        return f"{path}: {error}"
    return None


def shard_faults(dataset: ImageShards) -> list[str]:
    """Names the shards that are missing or end before their last image, one line each."""
    return map_files(partial(_size_fault, dataset), list(dataset.shard_sizes))


def image_faults(dataset: ImageShards) -> list[str]:
    """Names the images that do not decode, among up to ``MAX_DECODED`` evenly spread ones, one line each."""
    return map_files(partial(_image_fault, dataset), spread(range(len(dataset)), MAX_DECODED))


def _size_fault(dataset: ImageShards, shard: str) -> str | None:
    try:
        size = os.path.getsize(shard)
    except OSError as error:
        return f"{shard}: {error.strerror}"
    if size < dataset.shard_sizes[shard]:
        return f"{shard}: it ends after {size} bytes, its last image after {dataset.shard_sizes[shard]}"
    return None


def _image_fault(dataset: ImageShards, index: int) -> str | None:
    try:
        LoadImage()(dataset.get_data_info(index))
    except UnreadableImageError as error:
        return str(error)
    return None


def reads_label_maps(dataset: BaseDataset) -> bool:
    """Whether the pipeline loads label maps as MMSegmentation does, pixel values being class indices."""
    return bool(dataset.metainfo.get("classes")) and any(map(loads_label_map, dataset.pipeline.transforms))


def label_map_fault(path: str, dataset: BaseDataset) -> str | None:
    """Says what is wrong with a label map; None if nothing is.

    Args:
        path: An image of one channel. Of a palette image, the indices count.
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
    return f"{path}: value {name_some(outside, 10)}"


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
