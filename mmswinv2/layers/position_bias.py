"""Log-spaced continuous position bias, log-CPB (paper section 3.3, equations 3 and 4).

A small meta network maps the offset between two tokens to one bias per head. It takes real
coordinates, so a network learnt with one window works with any other: "window transfer".
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Returns a context without autocast on ``device``, which may also be one that has none, such as meta."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


# Offsets are scaled to [-8, 8] over the pretrained window before the logarithm. Going from window 8
# to 16 then reaches log(1 + 8 * 15 / 7) / log(1 + 8) - 1 = 0.32 past the trained range, where linear
# coordinates would reach 15 / 7 - 1 = 1.14 past it.
COORDINATE_RANGE = 8.0
BIAS_RANGE = 16.0


def log_coordinates(offset: Tensor, pretrained_window: Tensor) -> Tensor:
    """Log-spaced coordinates of an offset in tokens (equation 4, in the released code's scale).

    The released code scales offsets to [-8, 8] and divides log2 by log2(8), so the end of the
    pretrained window, |x| = 8, lies at log2(9) / 3 = 1.057 and not at 1.

    Args:
        offset: Signed offsets in tokens, (..., 2) as (dy, dx).
        pretrained_window: Window (h, w) in tokens with which the meta network was trained, (2,).
            Its greatest offset, h - 1, is the unit. A window of 1 has the offset 0 alone, with the unit 1.

    Returns:
        Coordinates of the shape of ``offset``, float32.
    """
    unit = (pretrained_window.float() - 1).clamp(min=1)
    x = offset.float() / unit * COORDINATE_RANGE
    return x.sign() * (x.abs() + 1).log2() / math.log2(COORDINATE_RANGE)


def window_coordinates(window: tuple[int, int], pretrained_window: Tensor) -> Tensor:
    """Computes the coordinates of all offsets inside a window, the official ``relative_coords_table``.

    Args:
        window: Height h and width w in tokens.
        pretrained_window: As in :func:`log_coordinates`.

    Returns:
        Coordinates (2h - 1, 2w - 1, 2), float32; the offset (0, 0) is in the middle.
    """
    dy, dx = (torch.arange(1 - side, side, device=pretrained_window.device) for side in window)
    offset = torch.stack(torch.meshgrid(dy, dx, indexing="ij"), dim=-1)  # (2h-1, 2w-1, 2)
    return log_coordinates(offset, pretrained_window)


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

    def version(self, networks: Sequence["LogCPB"], pretrained_windows: Tensor) -> object | None:
        """Returns an object that stays the same one while nothing changes that the biases are made of.

        The comparison is by value. Version counters would not do: MMEngine's EMA and MMDetection's mean teacher write
        through ``.data``, which leaves them unchanged.

        Args:
            networks: The networks of all blocks.
            pretrained_windows: The windows that normalise their offsets, of any shape.

        Returns:
            None where no bias may be kept: with gradients, under a compiler, and for tensors that only stand for data.
        """
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or type(pretrained_windows) is not Tensor:
            return None
        sources = [*(parameter for network in networks for parameter in network.parameters()), pretrained_windows]
        values = torch.cat([source.detach().float().flatten() for source in sources])
        last = self._last  # read once, because another thread may replace it meanwhile
        if last is not None and last[0].device == values.device and torch.equal(last[0], values):
            return last[1]
        version = object()
        self._last = values, version
        return version


class LogCPB(nn.Sequential):
    """Meta network of the position bias: 2 -> 512 -> heads.

    It is a ``Sequential`` so that its parameters bear the official names ``cpb_mlp.0`` and ``cpb_mlp.2``.
    It runs in float32 whatever the model's dtype or autocast: it is tiny, and logits need the precision.

    Args:
        num_heads: Attention heads; each gets one bias per offset.
        hidden_dims: Width of the hidden layer.
    """

    def __init__(self, num_heads: int, hidden_dims: int = 512) -> None:
        super().__init__(
            nn.Linear(2, hidden_dims), nn.ReLU(inplace=True), nn.Linear(hidden_dims, num_heads, bias=False)
        )
        self._cache: CachedBias | None = None

    def forward(  # type: ignore[override] # a Sequential for its names alone, it does not run as one
        self, window: tuple[int, int], pretrained_window: Tensor, version: object | None = None
    ) -> Tensor:
        """Returns the bias between all pairs of tokens of a window.

        Args:
            window: Height and width in tokens.
            pretrained_window: Window (h, w) that normalises the offsets, integer tensor (2,).
            version: Of :class:`BiasVersions`; a bias of the same one is taken again. None: computes and keeps nothing.

        Returns:
            Bias in (0, 16), float32, of shape (heads, h * w, h * w).
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
        """Computes the bias from a table over all (2h - 1)(2w - 1) offsets; shapes as in :meth:`forward`."""
        h, w = window
        table = self.evaluate(window_coordinates(window, pretrained_window)).permute(2, 0, 1)
        # (heads, 2h-1, 2w-1) -> (heads, yi, xi, yj', xj'), entry table[yi + yj', xi + xj']. Flipping
        # the last two, yj = h - 1 - yj', turns the index into yi - yj + h - 1: the offset of i from j.
        pairs = table.unfold(1, h, 1).unfold(2, w, 1).flip(3, 4)
        return pairs.reshape(-1, h * w, h * w)

    def bias_plain(self, window: tuple[int, int], pretrained_window: Tensor) -> Tensor:
        """Computes the bias as the paper writes it: the meta network at the offset of every pair (i, j)."""
        h, w = window
        ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        position = torch.stack([ys, xs], dim=-1).reshape(h * w, 2).to(pretrained_window.device)
        offset = position[:, None] - position[None, :]  # (N, N, 2)
        return self.evaluate(log_coordinates(offset, pretrained_window)).permute(2, 0, 1)

    def evaluate(self, coordinates: Tensor) -> Tensor:
        """Runs the meta network, (..., 2) -> (..., heads), and squashes to (0, 16) as the released code does."""
        first: Any  # an nn.Linear, like ``last``; a Sequential gives its members out as plain Modules
        last: Any
        first, _, last = self
        with without_autocast(coordinates.device):
            hidden = F.relu(F.linear(coordinates, first.weight.float(), first.bias.float()))
            return BIAS_RANGE * torch.sigmoid(F.linear(hidden, last.weight.float()))


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
