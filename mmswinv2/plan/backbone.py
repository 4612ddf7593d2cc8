"""A training step of the backbone at its full size, without memory and without arithmetic.

It runs in torch's fake mode: tensors have shapes, types and lifetimes, and no values. So what autograd keeps, what
``with_cp`` computes anew and what mixed precision copies is not estimated but read off the step itself.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..layers.windows import Pair
from ..models import SwinTransformerV2
from .attention import attention_peaks
from .live import LiveMemory, Moment
from .precision import Precision


class BackboneStep(NamedTuple):
    """What a step of the backbone takes, in bytes.

    Attributes:
        kept: What lives after its forward pass, its outputs left out.
        moments: What lives at each time, its input left out.
    """

    kept: Moment
    moments: list[Moment]


def backbone_step(backbone: SwinTransformerV2, batch: int, size: Pair, precision: Precision) -> BackboneStep:
    """Runs a step from tokens to features and back.

    Args:
        backbone: Built on the meta device. Its tensors are replaced by fake ones.
        batch: Images on a GPU.
        size: Height and width of an image in pixels.
        precision: In which types the step computes, and on what.
    """
    height, width = (-(-side // backbone.patch_size) for side in size)
    inner = attention_peaks(backbone, batch, (height, width), precision)
    with FakeTensorMode():
        _replace_by_fakes(backbone)
        precision.prepare(backbone)
        backbone.train()
        shape = batch, height, width, backbone.arch.embed_dims
        tokens = nn.Parameter(torch.empty(shape, dtype=precision.tokens))
        with LiveMemory(backbone, [tokens], inner) as memory:
            with precision.autocast():
                loss = Release.apply(*backbone.forward_stages(tokens))
                kept = memory.now  # the heads' forward pass too is within autocast, which keeps its casts
            loss.backward()
    return BackboneStep(kept, memory.moments)


class Release(torch.autograd.Function):
    """Stands for neck and heads: features go in, and when these are gone, their gradients come back."""

    @staticmethod
    def forward(ctx: Any, *features: Tensor) -> Tensor:
        """Returns a loss."""
        ctx.made = [(feature.shape, feature.dtype) for feature in features]
        return features[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, ...]:
        """Returns a gradient for each of the features."""
        return tuple(torch.empty(shape, dtype=dtype) for shape, dtype in ctx.made)


def _replace_by_fakes(model: nn.Module) -> None:
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            made = torch.empty(parameter.shape, dtype=parameter.dtype)
            setattr(module, name, nn.Parameter(made, requires_grad=parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))
