"""A backbone that is small and has everything: four stages, both kinds of block, extra norms."""

import torch
from torch import Tensor

from mmswinv2 import SwinTransformerV2

from .. import reference

# Four stages with both kinds of block in each, and an extra norm at the end of each.
SMALL = {"embed_dims": 16, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8], "extra_norm_period": 2}


def make(**options: object) -> SwinTransformerV2:
    return reference.randomize_(SwinTransformerV2(**{"arch": SMALL, "window_size": 4, **options}))


def loss_of(outputs: tuple[Tensor, ...]) -> Tensor:
    """A loss with its own weight for every output value: a plain sum would be blind behind a LayerNorm."""
    generator = torch.Generator().manual_seed(1)
    return sum((x * torch.randn(x.shape, generator=generator)).sum() for x in outputs)
