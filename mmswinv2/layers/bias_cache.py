"""What every position bias does: it is kept between forward passes of inference, and cut to cells of a window."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class CachedBias(NamedTuple):
    """The bias of one window, and the version of the values that it was computed from.

    Attributes:
        window: Window (h, w) in tokens.
        version: See :class:`BiasVersions`.
        bias: (heads, h * w, h * w).
    """

    window: tuple[int, int]
    version: object
    bias: Tensor


class BiasVersions:
    """Tells whether the biases that a model has kept still hold, by one look at values for all of its networks.

    A look at values makes a GPU wait, so there is one a forward pass, and none in training.
    """

    def __init__(self) -> None:
        self._last: tuple[Tensor, object] | None = None

    def version(self, networks: Sequence["PositionBias"], pretrained_windows: Tensor) -> object | None:
        """Returns an object that stays the same one while nothing changes that the biases are made of.

        The comparison is by value. Version counters would not do: MMEngine's EMA and MMDetection's mean teacher write
        through ``.data``, which leaves them unchanged.

        Args:
            networks: The networks of all blocks.
            pretrained_windows: The windows that normalise their offsets, of any shape.

        Returns:
            None where no bias may be kept: with gradients, under a compiler, and for tensors that only stand for data
            or of which other processes have parts.
        """
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return None
        sources = [*(parameter for network in networks for parameter in network.parameters()), pretrained_windows]
        if any(type(source) not in (Tensor, nn.Parameter) for source in sources):
            return None
        values = torch.cat([source.detach().float().flatten() for source in sources])
        last = self._last  # read once, because another thread may replace it meanwhile
        if last is not None and last[0].device == values.device and torch.equal(last[0], values):
            return last[1]
        version = object()
        self._last = values, version
        return version


class PositionBias(nn.Module):
    """A bias B for each pair of tokens of a window, which depends on their offset alone.

    A subclass says what the bias of each offset is, in :meth:`offset_table`.
    """

    _cache: CachedBias | None = None

    def forward(self, window: tuple[int, int], pretrained_window: Tensor, version: object | None = None) -> Tensor:
        """Returns the bias between all pairs of tokens of a window.

        Args:
            window: Height and width in tokens.
            pretrained_window: Window (h, w) that normalises the offsets, integer tensor (2,).
            version: Of :class:`BiasVersions`; a bias of the same one is taken again. None: computes and keeps nothing.

        Returns:
            Bias, float32, of shape (heads, h * w, h * w).
        """
        if version is None:
            if self._cache is not None:  # torch.export takes every assignment for a side effect
                self._cache = None
            return self.bias(window, pretrained_window)
        cached = self._cache  # read once, because another thread may replace it meanwhile
        if cached is not None and cached.window == window and cached.version is version:
            return cached.bias
        bias = self.bias(window, pretrained_window)
        self._cache = CachedBias(window, version, bias)
        return bias

    def bias(self, window: tuple[int, int], pretrained_window: Tensor) -> Tensor:
        """Spreads the table of all offsets over all pairs of tokens; shapes as in :meth:`forward`."""
        h, w = window
        table = self.offset_table(window, pretrained_window).permute(2, 0, 1)
        # (heads, 2h-1, 2w-1) -> (heads, yi, xi, yj', xj'), entry table[yi + yj', xi + xj']. Flipping
        # the last two, yj = h - 1 - yj', turns the index into yi - yj + h - 1: the offset of i from j.
        pairs = table.unfold(1, h, 1).unfold(2, w, 1).flip(3, 4)
        return pairs.reshape(-1, h * w, h * w)

    def offset_table(self, window: tuple[int, int], pretrained_window: Tensor) -> Tensor:
        """Returns the bias of every offset in a window (h, w), (2h - 1, 2w - 1, heads); (0, 0) is in the middle."""
        raise NotImplementedError


def cell_bias(bias: Tensor, window: tuple[int, int], cell: tuple[int, int]) -> Tensor:
    """Cuts the bias of a smaller cell from that of a window, since equal offsets have equal biases.

    Args:
        bias: Bias of the window (H, W), shape (heads, H * W, H * W).
        window: (H, W).
        cell: (h, w) with h <= H and w <= W.

    Returns:
        Bias of shape (heads, h * w, h * w).
    """
    if cell == window:
        return bias
    h, w = cell
    return bias.reshape(-1, *window, *window)[:, :h, :w, :h, :w].reshape(-1, h * w, h * w)
