"""Small trees of real images, to be read and broken at will."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ..support import ROOT

IMAGES = sorted((ROOT / "demo/nuclei/train").iterdir())
CLASSES = ("bird", "cat", "dog")


def write_classes(root: Path, classes: Sequence[str] = CLASSES, images: int = 2) -> Path:
    """Writes a folder for each class with so many images of the shipped ones, no image twice; returns ``root``."""
    for index, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for image in IMAGES[index * images : (index + 1) * images]:
            shutil.copy(image, root / name)
    return root
