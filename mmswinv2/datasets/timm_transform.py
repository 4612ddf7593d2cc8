"""Augmentation and evaluation transforms of timm, those of the official recipes."""

from typing import Any

from ..registry import TRANSFORMS


@TRANSFORMS.register_module()
class TimmTransform:
    """Makes of ``inputs``, a PIL image, a normalised tensor (3, H, W) by ``timm.data.create_transform``.

    Args:
        settings: Those of ``create_transform``, such as ``input_size=256, is_training=True,
            auto_augment='rand-m9-mstd0.5-inc1'``. Pixels are normalised with ImageNet's mean and deviation.

    Raises:
        ValueError: timm is not installed, or does not take a setting.
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

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transforms ``inputs``; the random numbers are those of torch, numpy and random."""
        return {**results, "inputs": self.transform(results["inputs"])}
