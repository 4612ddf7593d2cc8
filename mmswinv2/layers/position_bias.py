"""Log-spaced continuous position bias, log-CPB (paper section 3.3, equations 3 and 4).

A small meta network maps the offset between two tokens to one bias per head. It takes real
coordinates, so a network learnt with one window works with any other: "window transfer".
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bias_cache import PositionBias


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
    return log_coordinates(window_offsets(window, pretrained_window.device), pretrained_window)


def window_offsets(window: tuple[int, int], device: torch.device) -> Tensor:
    """Returns all offsets (dy, dx) between tokens of a window (h, w), (2h - 1, 2w - 1, 2); (0, 0) is in the middle."""
    dy, dx = (torch.arange(1 - side, side, device=device) for side in window)
    return torch.stack(torch.meshgrid(dy, dx, indexing="ij"), dim=-1)


class ContinuousBias(PositionBias, nn.Sequential):  # type: ignore[misc] # for its names, it does not run as one
    """Meta network 2 -> 512 -> heads at the coordinates of an offset, which a subclass names.

    It is a ``Sequential`` so that its parameters bear the official names ``cpb_mlp.0`` and ``cpb_mlp.2``.
    It runs in float32 whatever the model's dtype or autocast: it is tiny, and logits need the precision.

    Args:
        num_heads: Attention heads; each gets one bias per offset, in (0, 16).
        hidden_dims: Width of the hidden layer.
    """

    def __init__(self, num_heads: int, hidden_dims: int = 512) -> None:
        super().__init__(
            nn.Linear(2, hidden_dims), nn.ReLU(inplace=True), nn.Linear(hidden_dims, num_heads, bias=False)
        )

    def coordinates(self, offset: Tensor, pretrained_window: Tensor) -> Tensor:
        """Returns what the network is given for offsets in tokens, (..., 2) to (..., 2)."""
        raise NotImplementedError

    def offset_table(self, window: tuple[int, int], pretrained_window: Tensor) -> Tensor:
        """Runs the network once for all (2h - 1)(2w - 1) offsets; see :class:`PositionBias`."""
        return self.evaluate(self.coordinates(window_offsets(window, pretrained_window.device), pretrained_window))

    def bias_plain(self, window: tuple[int, int], pretrained_window: Tensor) -> Tensor:
        """Computes the bias as the paper writes it: the meta network at the offset of every pair (i, j)."""
        h, w = window
        ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        position = torch.stack([ys, xs], dim=-1).reshape(h * w, 2).to(pretrained_window.device)
        offset = position[:, None] - position[None, :]  # (N, N, 2)
        return self.evaluate(self.coordinates(offset, pretrained_window)).permute(2, 0, 1)

    def evaluate(self, coordinates: Tensor) -> Tensor:
        """Runs the meta network, (..., 2) -> (..., heads), and squashes to (0, 16) as the released code does."""
        first: Any  # an nn.Linear, like ``last``; a Sequential gives its members out as plain Modules
        last: Any
        first, _, last = self
        with without_autocast(coordinates.device):
            hidden = F.relu(F.linear(coordinates, first.weight.float(), first.bias.float()))
            return BIAS_RANGE * torch.sigmoid(F.linear(hidden, last.weight.float()))


class LogCPB(ContinuousBias):
    """Log-spaced continuous position bias, the paper's own."""

    def coordinates(self, offset: Tensor, pretrained_window: Tensor) -> Tensor:
        """See :func:`log_coordinates`."""
        return log_coordinates(offset, pretrained_window)
