"""Transforms for the pipelines of classification and SimMIM."""

import math
from io import BytesIO
from typing import Any

import numpy as np
import PIL
import torch
from mmengine.fileio import get
from PIL import Image, UnidentifiedImageError

from ..errors import ConfigError, EnvironmentProblem, UnreadableImageError
from ..registry import TRANSFORMS

PLACE_IN_SHARD = ("shard", "offset", "size")


@TRANSFORMS.register_module()
class LoadImage:
    """Adds ``inputs``, a PIL image in RGB, read as torchvision's ImageFolder does: EXIF does not turn it.

    Of grey values of 16 bits the upper 8 count, as for OpenCV. ImageFolder would make white of nearly all.

    Args:
        backend_args: MMEngine's, for images elsewhere than on a disk.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Reads ``img_path``, or ``size`` bytes at ``offset`` of the file ``shard``.

        Raises:
            UnreadableImageError: Names the image and why it cannot be read.
        """
        try:
            with Image.open(BytesIO(self._bytes(results))) as image:
                inputs = in_eight_bits(image).convert("RGB")
        except UnidentifiedImageError as error:
            raise UnreadableImageError(f"{results['img_path']}: it is not an image") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # PIL's, for broken content
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreadableImageError(f"{results['img_path']}: {reason}") from error
        return {**{key: value for key, value in results.items() if key not in PLACE_IN_SHARD}, "inputs": inputs}

    def _bytes(self, results: dict[str, Any]) -> bytes:
        if "shard" not in results:
            return get(results["img_path"], backend_args=self.backend_args)
        with open(results["shard"], "rb") as file:
            file.seek(results["offset"])
            return file.read(results["size"])


def in_eight_bits(image: Image.Image) -> Image.Image:
    """Returns the image itself, or one of 8 bits if it has 16. PIL's conversion would cut values at 255.

    Raises:
        ValueError: The image has floating point numbers, whose range nobody knows.
    """
    if image.mode == "F":
        raise ValueError("it has floating point numbers, save it with 8 bits a channel")
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))


@TRANSFORMS.register_module()
class TimmTransform:
    """Turns ``inputs``, a PIL image, into a normalised tensor (3, H, W) with ``timm.data.create_transform``.

    Args:
        settings: Those of ``create_transform``, such as ``input_size=256, is_training=True,
            auto_augment='rand-m9-mstd0.5-inc1'``. Pixels are normalised with ImageNet's mean and deviation.

    Raises:
        EnvironmentProblem: timm is not installed.
        ConfigError: timm does not take a setting, or does not go with the installed Pillow.
    """

    def __init__(self, **settings: Any) -> None:
        try:
            from timm.data import create_transform  # here, so that detection does without timm
        except ImportError as error:
            raise EnvironmentProblem(
                f"TimmTransform needs timm ({error}): pip install 'mmswinv2[pretraining]'"
            ) from error
        try:
            self.transform = create_transform(**settings)
        except TypeError as error:
            raise ConfigError(f"TimmTransform hands its settings to timm.data.create_transform: {error}") from error
        if settings.get("auto_augment"):
            check_posterize()

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transforms ``inputs``; the random numbers are those of torch, numpy and random."""
        return {**results, "inputs": self.transform(results["inputs"])}


def check_posterize() -> None:
    """Tries the strongest posterize of timm's augmentations. It keeps no bit at all, which Pillow refuses from 13 on.

    The official 'rand-m9-mstd0.5-inc1' draws it for one image in 660 (2 draws of 15 operations, half of them applied,
    2.3 % of the magnitudes at their bound), so that a training would stop early in its first epoch.

    Raises:
        ConfigError: The installed timm and Pillow do not go together.
    """
    from timm.data.auto_augment import posterize

    try:
        posterize(Image.new("RGB", (1, 1)), 0)
    except ValueError as error:
        raise ConfigError(
            f"timm's augmentations fail with Pillow {PIL.__version__} ({error}): pip install 'pillow<13'"
        ) from error


@TRANSFORMS.register_module()
class RandomPatchMask:
    """Adds ``mask``, which is true where a patch of the model is hidden.

    Whole squares are hidden. Their number is exact and their places are random.

    Args:
        input_size: Side of the image in pixels, a multiple of ``mask_patch_size``.
        mask_patch_size: Side in pixels of the squares that are hidden, a multiple of ``patch_size``.
        patch_size: Side in pixels of the model's patches.
        mask_ratio: Share of the squares to hide, in (0, 1); their number is rounded up.

    Raises:
        ConfigError: A value is not among those above.
    """

    def __init__(
        self, input_size: int = 192, mask_patch_size: int = 32, patch_size: int = 4, mask_ratio: float = 0.6
    ) -> None:
        if input_size < 1 or mask_patch_size < 1 or input_size % mask_patch_size:
            raise ConfigError(
                f"RandomPatchMask: input_size={input_size} must be a multiple of mask_patch_size={mask_patch_size}"
            )
        if patch_size < 1 or mask_patch_size % patch_size:
            raise ConfigError(
                f"RandomPatchMask: mask_patch_size={mask_patch_size} must be a multiple of the model's "
                f"patch_size={patch_size}"
            )
        if not 0 < mask_ratio < 1:
            raise ConfigError(f"RandomPatchMask: mask_ratio must lie in (0, 1), got {mask_ratio!r}")
        self.side = input_size // mask_patch_size
        self.repeats = mask_patch_size // patch_size
        # Rounded first: 0.55 * 100 is 55.00000000000001.
        self.count = math.ceil(round(mask_ratio * self.side**2, 9))

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds ``mask``, bool, (input_size / patch_size, input_size / patch_size)."""
        squares = torch.zeros(self.side**2, dtype=torch.bool)
        squares[torch.randperm(self.side**2)[: self.count]] = True
        mask = squares.view(self.side, self.side)
        return {**results, "mask": mask.repeat_interleave(self.repeats, 0).repeat_interleave(self.repeats, 1)}
