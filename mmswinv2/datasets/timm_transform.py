"""Augmentation and evaluation transforms of timm, those of the official recipes."""

from typing import Any

import PIL
from PIL import Image

from ..registry import TRANSFORMS


@TRANSFORMS.register_module()
class TimmTransform:
    """Makes of ``inputs``, a PIL image, a normalised tensor (3, H, W) by ``timm.data.create_transform``.

    Args:
        settings: Those of ``create_transform``, such as ``input_size=256, is_training=True,
            auto_augment='rand-m9-mstd0.5-inc1'``. Pixels are normalised with ImageNet's mean and deviation.

    Raises:
        ValueError: timm is not installed, does not take a setting, or does not go with the installed Pillow.
    """

    def __init__(self, **settings: Any) -> None:
        try:
            from timm.data import create_transform  # here, so that detection does without timm
        except ImportError as error:
            raise ValueError(f"TimmTransform needs timm ({error}): pip install 'mmswinv2[pretraining]'") from error
        try:
            self.transform = create_transform(**settings)
        except TypeError as error:
            raise ValueError(f"TimmTransform hands its settings to timm.data.create_transform: {error}") from error
        if settings.get("auto_augment"):
            check_posterize()

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transforms ``inputs``; the random numbers are those of torch, numpy and random."""
        return {**results, "inputs": self.transform(results["inputs"])}


def check_posterize() -> None:
    """Tries the strongest posterize of timm's augmentations, which keeps no bit at all: Pillow refuses it from 13 on.

    The official 'rand-m9-mstd0.5-inc1' draws it for one image in 660 (2 draws of 15 operations, half of them applied,
    2.3 % of the magnitudes at their bound), so that a training would stop early in its first epoch.

    Raises:
        ValueError: The installed timm and Pillow do not go together.
    """
    from timm.data.auto_augment import posterize

    try:
        posterize(Image.new("RGB", (1, 1)), 0)
    except ValueError as error:
        raise ValueError(
            f"timm's augmentations fail with Pillow {PIL.__version__} ({error}): pip install 'pillow<13'"
        ) from error
