"""How a signal grows from block to block: the variance of the main branch, and its largest value."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Signal(NamedTuple):
    """The main branch after each block of a backbone, from its input to its output.

    Attributes:
        variance: The variance of all its values: of all channels of all tokens of all images.
        largest: Its largest absolute value.
    """

    variance: list[float]
    largest: list[float]


class Moments:
    """Sums of values that arrive in parts, from which their variance and largest value follow."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares, self.largest = 0, 0.0, 0.0, 0.0

    def add(self, values: Tensor) -> None:
        """Adds values of any shape."""
        self.largest = max(self.largest, float(values.abs().max()))
        values = values.double()  # the variance is a difference of large sums
        self.count += values.numel()
        self.sum += float(values.sum())
        self.squares += float(values.square().sum())

    def variance(self) -> float:
        """Returns the variance of all values so far."""
        return self.squares / self.count - (self.sum / self.count) ** 2


def stages_of(backbone: Any) -> Any:
    """Returns the stages of a Swin V2 of this project or a Swin V1 of MMDetection; each has ``blocks``."""
    return backbone.layers if hasattr(backbone, "layers") else backbone.stages


def blocks_of(backbone: nn.Module) -> Iterator[Any]:
    """Yields the blocks of all stages."""
    for stage in stages_of(backbone):
        yield from stage.blocks


def mean_gain(backbone: nn.Module) -> float:
    """Returns the mean of the absolute gains of all blocks' norms: of post-norms, how much of a branch they let by."""
    gains = [norm.weight.detach() for block in blocks_of(backbone) for norm in (block.norm1, block.norm2)]
    return float(torch.cat(gains).abs().mean())


@torch.no_grad()
def measure_signal(backbone: nn.Module, images: Tensor) -> Signal:
    """Runs a backbone in evaluation mode on images (B, 3, H, W) and looks at what its blocks give out."""
    backbone.eval()
    moments = [Moments() for _ in blocks_of(backbone)]
    handles = [
        # A block may be called several times, each with some of the windows.
        block.register_forward_hook(lambda module, given, values, of_block=of_block: of_block.add(values))
        for block, of_block in zip(blocks_of(backbone), moments, strict=True)
    ]
    try:
        backbone(images)
    finally:
        for handle in handles:
            handle.remove()
    return Signal([one.variance() for one in moments], [one.largest for one in moments])
