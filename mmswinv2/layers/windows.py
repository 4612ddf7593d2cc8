"""Windows cut to the map: no rolling, no padding, no mask (paper section 3.1, "shifted windows").

The usual implementation pads the map, rolls it by the shift and masks what must not meet. Along one
axis this is the same as cutting the map into runs ``shift, window, window, ..., rest`` and letting
each run attend to itself. A window is then a cell of one row run and one column run. Cells of equal
shape form at most 3 x 3 groups, and nearly all tokens lie in one of them.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Runs(NamedTuple):
    """``number`` consecutive runs of ``length`` tokens each along one axis, from token ``start``."""

    start: int
    number: int
    length: int

    @property
    def span(self) -> slice:
        """All tokens of the runs."""
        return slice(self.start, self.start + self.number * self.length)


def axis_runs(size: int, window: int, shift: int) -> list[Runs]:
    """Cuts an axis of ``size`` tokens into the runs of a window of ``window`` tokens.

    Args:
        size: Tokens on the axis, at least 1.
        window: Window length in tokens, at least 1.
        shift: Offset of the window grid, 0 <= shift < window.

    Returns:
        Up to three groups of equally long runs that cover the axis in order. An axis no longer than
        the window is one run: there is nothing to shift.
    """
    if size <= window:
        return [Runs(0, 1, size)]
    number, rest = (size - shift) // window, (size - shift) % window
    runs = [Runs(0, 1, shift), Runs(shift, number, window), Runs(size - rest, 1, rest)]
    return [run for run in runs if run.number and run.length]


def map_size(x: Tensor) -> tuple[int, int]:
    """Returns the height and width of a map (B, H, W, C).

    While :func:`torch.jit.trace` records, sizes are tensors, and this makes them numbers. How a map is cut depends on
    its size, so a trace holds for one size. Under ``torch.compile`` they may be symbolic and stay so.
    """
    _, height, width, _ = x.shape
    tracing: bool = torch.jit.is_tracing()  # type: ignore[no-untyped-call] # torch has no types for it
    return (int(height), int(width)) if tracing else (height, width)


def map_windows(
    x: Tensor,
    window_size: tuple[int, int],
    shift: tuple[int, int],
    function: Callable[[Tensor, tuple[int, int]], Tensor],
) -> Tensor:
    """Applies ``function`` inside every window of a map and puts the results back in place.

    Args:
        x: Map of shape (B, H, W, C).
        window_size: Height and width of a window in tokens.
        shift: Offset of the window grid along each axis.
        function: Takes the windows of one cell shape, (n, h * w, C), and that shape (h, w); returns
            (n, h * w, C'). Called once for each of the at most nine groups.

    Returns:
        Map of shape (B, H, W, C').
    """
    height, width = map_size(x)
    all_columns = axis_runs(width, window_size[1], shift[1])
    bands = []
    for rows in axis_runs(height, window_size[0], shift[0]):
        band = []
        for columns in all_columns:
            cell = (rows.length, columns.length)
            windows = partition(x[:, rows.span, columns.span], cell)
            band.append(unpartition(function(windows, cell), cell, x.size(0), columns.number))
        bands.append(_concatenate(band, dim=2))
    return _concatenate(bands, dim=1)


def partition(x: Tensor, cell: tuple[int, int]) -> Tensor:
    """Cuts (B, rows * h, columns * w, C) into (B * rows * columns, h * w, C)."""
    batch, height, width, channels = x.shape
    h, w = cell
    x = x.reshape(batch, height // h, h, width // w, w, channels)
    return x.transpose(2, 3).reshape(-1, h * w, channels)


def unpartition(windows: Tensor, cell: tuple[int, int], batch: int, columns: int) -> Tensor:
    """Undoes :func:`partition`: (B * rows * columns, h * w, C) to (B, rows * h, columns * w, C)."""
    h, w = cell
    rows, channels = windows.size(0) // (batch * columns), windows.size(2)
    x = windows.reshape(batch, rows, columns, h, w, channels)
    return x.transpose(2, 3).reshape(batch, rows * h, columns * w, channels)


def _concatenate(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)  # cat copies even a single part
