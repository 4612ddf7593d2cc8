"""Are the image files there and whole?

A truncated JPEG decodes without an error to a picture whose lower part is grey, so reading a few
bytes of every file comes first: it is cheap enough for all of COCO at every start. A full decode
follows for all files of a small set, for an evenly spread sample of a large one.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

T = TypeVar("T")
THREADS = 16
MAX_READ = 200_000  # files whose ends are read: a larger set (ImageNet) is sampled
MAX_DECODED = 500

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
JPEG_END, JPEG_SCAN, PNG_END = b"\xff\xd9", b"\xff\xda", b"IEND"
DECODED_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of ``items``, evenly spread, the first always among them."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def map_files(check: Callable[[T], str | None], files: Sequence[T]) -> list[str]:
    """Faults that ``check`` finds in the files, given by path or index, in their order; they are read in threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return [fault for fault in pool.map(check, files) if fault]


def end_fault(path: str) -> str | None:
    """What is wrong with a file judged by its existence and its first and last bytes; None if nothing."""
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
    """What a strict decoder finds wrong with an image file; None if it decodes.

    Files of other kinds (TIFF, raw arrays) are the pipeline's own affair and pass.
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
