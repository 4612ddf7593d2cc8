"""Checks that files of images, label maps and shards are there and whole."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from ..datasets.image_dataset import ImageShards

T = TypeVar("T")
THREADS = 16

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
JPEG_END, JPEG_SCAN, PNG_END = b"\xff\xd9", b"\xff\xda", b"IEND"
DECODED_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def spread(items: Sequence[T], count: int) -> list[T]:
    """Returns at most ``count`` of ``items``, evenly spread. The first is always among them."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


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


def shard_fault(dataset: ImageShards, shard: str) -> str | None:
    """Says that a shard is missing or ends before its last image; None if it is whole."""
    try:
        size = os.path.getsize(shard)
    except OSError as error:
        return f"{shard}: {error.strerror}"
    if size < dataset.shard_sizes[shard]:
        return f"{shard}: it ends after {size} bytes, its last image after {dataset.shard_sizes[shard]}"
    return None
