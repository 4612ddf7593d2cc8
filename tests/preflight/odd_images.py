"""Odd image files that the tests make of a good one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def grayscale(path: Path) -> None:
    Image.open(path).convert("L").save(path)


def cmyk(path: Path) -> None:
    Image.open(path).convert("CMYK").save(path)


def sixteen_bits(path: Path) -> None:
    """A PNG of 16 bits, under the name of a JPEG."""
    values = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 257
    Image.fromarray(values).save(path, "PNG")


def alpha(path: Path) -> None:
    Image.open(path).convert("RGBA").save(path, "PNG")


def palette(path: Path) -> None:
    Image.open(path).convert("P").save(path, "PNG")


def as_format(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        Image.open(path).convert("RGB").save(path, name)

    return change


def exif(orientation: int) -> Callable[[Path], None]:
    """Notes an orientation, the pixels staying as they are."""

    def change(path: Path) -> None:
        picture = Image.open(path)
        tags = picture.getexif()
        tags[ORIENTATION] = orientation
        picture.save(path, exif=tags)

    return change


def sized(width: int, height: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        Image.open(path).resize((width, height)).save(path)

    return change


def truncated(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def text(path: Path) -> None:
    path.write_text("<html>404</html>")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()
