"""Which patches of an image SimMIM hides."""

import math
from typing import Any

import torch

from ..registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomPatchMask:
    """Adds ``mask``, true where the model's patch is hidden: whole squares, their number exact, their places random.

    Args:
        input_size: Side of the image in pixels, a multiple of ``mask_patch_size``.
        mask_patch_size: Side in pixels of the squares that are hidden, a multiple of ``patch_size``.
        patch_size: Side in pixels of the model's patches.
        mask_ratio: Share of the squares to hide, in (0, 1); their number is rounded up.

    Raises:
        ValueError: A value outside what is said above.
    """

    def __init__(
        self, input_size: int = 192, mask_patch_size: int = 32, patch_size: int = 4, mask_ratio: float = 0.6
    ) -> None:
        if input_size < 1 or mask_patch_size < 1 or input_size % mask_patch_size:
            raise ValueError(
                f"RandomPatchMask: input_size={input_size} must be a multiple of mask_patch_size={mask_patch_size}"
            )
        if patch_size < 1 or mask_patch_size % patch_size:
            raise ValueError(
                f"RandomPatchMask: mask_patch_size={mask_patch_size} must be a multiple of the model's "
                f"patch_size={patch_size}"
            )
        if not 0 < mask_ratio < 1:
            raise ValueError(f"RandomPatchMask: mask_ratio must lie in (0, 1), got {mask_ratio!r}")
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
