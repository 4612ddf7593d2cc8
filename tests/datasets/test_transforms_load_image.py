"""Images come as torchvision's ImageFolder reads them; what cannot be read is named with its reason."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets.folder import pil_loader

from mmswinv2.datasets import LoadImage
from mmswinv2.errors import UnreadableImageError

from ..support import FIXTURES
from .trees import IMAGES


def load(path: Path) -> Image.Image:
    """The image that the transform adds."""
    return LoadImage()({"img_path": str(path)})["inputs"]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "1"])
def test_every_mode_becomes_rgb_as_with_torchvision(tmp_path: Path, mode: str) -> None:
    """ImageNet has grey and CMYK images among its JPEGs; a heap of pictures from anywhere has all kinds."""
    image = Image.open(next((FIXTURES / "coco/train2017").iterdir()))
    image = image.convert(mode)
    path = tmp_path / ("image.jpg" if mode in ("RGB", "L", "CMYK") else "image.png")
    image.save(path)
    loaded = load(path)
    assert loaded.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(loaded), np.asarray(pil_loader(str(path))))


def test_16_bits_keep_the_picture(tmp_path: Path) -> None:
    """torchvision would cut at 255, and give nothing but white: the upper 8 bits count, as for MMDetection."""
    grey = Image.open(next((FIXTURES / "coco/train2017").iterdir())).convert("L")
    Image.fromarray(np.uint16(grey) * 257).save(tmp_path / "image.png")
    assert Image.open(tmp_path / "image.png").mode == "I;16"
    loaded = load(tmp_path / "image.png")
    assert loaded.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(loaded), np.asarray(grey.convert("RGB")))


def test_floating_point_numbers_are_refused(tmp_path: Path) -> None:
    """Their range is not known."""
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "image.tiff")
    with pytest.raises(UnreadableImageError, match=r"image\.tiff: it has floating point numbers"):
        load(tmp_path / "image.tiff")


def test_exif_does_not_turn_the_image(tmp_path: Path) -> None:
    """As in the official training: pixels in their stored order."""
    path = tmp_path / "turned.jpg"
    image = Image.open(IMAGES[0]).convert("RGB").resize((40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    image.save(path, exif=exif)
    assert Image.open(path).getexif()[0x0112] == 6
    assert load(path).size == (40, 20)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def error_page(path: Path) -> None:
    path.write_text("<html>404</html>")


def huge(path: Path) -> None:
    Image.new("1", (14_000, 14_000)).save(path, "PPM")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "truncated"),
        (empty, "it is not an image"),
        (error_page, "it is not an image"),
        (Path.unlink, "No such file or directory"),
        (huge, "exceeds limit"),
    ],
)
def test_unreadable_image_is_named_with_the_reason(tmp_path: Path, spoil: Callable, reason: str) -> None:
    """OpenCV would give a half grey picture for the truncated one."""
    path = tmp_path / "image.jpg"
    path.write_bytes(IMAGES[0].read_bytes())
    load(path)
    spoil(path)
    with warnings.catch_warnings(), pytest.raises(UnreadableImageError, match=rf"^{path}: .*{reason}"):
        warnings.simplefilter("ignore")  # PIL's, of the huge one
        load(path)
