"""Tokens in window order: no rolling, no padding, no mask (paper section 3.1, "shifted windows").

The usual implementation pads the map, rolls it by the shift and masks what must not meet. Along one
axis this is the same as cutting the map into runs ``shift, window, window, ..., rest`` and letting
each run attend to itself. A window is then a cell of one row run and one column run. Cells of equal
shape form at most 3 x 3 groups, and nearly all tokens lie in one of them.

Linear layers, norms and the MLP do not care in which order tokens stand. So a stage keeps the tokens of
a batch of maps in one row, (T, C), and those of a window next to each other. The windows of one shape
are then one slice, (n, h * w, C), without a copy. A map of 4 x 5 tokens, numbered row by row, at
window 2 and shift 1 has runs 1, 2, 1 of rows and 1, 2, 2 of columns, and this order::

     0 |  1  2 |  3  4         cells of 1 x 1: 0
    ---+-------+------         cells of 1 x 2: 1 2, 3 4
     5 |  6  7 |  8  9         cells of 2 x 1: 5 10
    10 | 11 12 | 13 14         cells of 2 x 2: 6 7 11 12, 8 9 13 14
    ---+-------+------         cells of 1 x 1: 15
    15 | 16 17 | 18 19         cells of 1 x 2: 16 17, 18 19

From block to block the order changes with the shift: one gather of all tokens, by an index that depends
on sizes alone.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

CACHED_ORDERS = 128  # of 800 x 1344 px, a stage keeps three or four, of 1 MB an image at the first one


class Runs(NamedTuple):
    """``number`` consecutive runs of ``length`` tokens each along one axis, from token ``start``."""

    start: int
    number: int
    length: int

    @property
    def span(self) -> slice:
        """All tokens of the runs."""
        return slice(self.start, self.start + self.number * self.length)


class Cells(NamedTuple):
    """``number`` windows of one shape (h, w), which stand next to each other in window order."""

    number: int
    shape: tuple[int, int]


class WindowGrid(NamedTuple):
    """How a batch of maps is cut into windows.

    Attributes:
        batch: Number of maps B.
        size: Height and width (H, W) of a map in tokens.
        window: Height and width of a window in tokens.
        shift: Offset of the grid along each axis, 0 <= shift < window.
    """

    batch: int
    size: tuple[int, int]
    window: tuple[int, int]
    shift: tuple[int, int]

    @property
    def fitted_window(self) -> tuple[int, int]:
        """The window of the largest cell: no longer than the map."""
        return min(self.window[0], self.size[0]), min(self.window[1], self.size[1])

    @property
    def cells(self) -> list[Cells]:
        """The windows by shape, in window order; at most nine entries."""
        return [
            Cells(self.batch * rows.number * columns.number, (rows.length, columns.length))
            for rows, columns in self._groups()
        ]

    def order(self, device: torch.device) -> Tensor:
        """Place in raster order, b * H * W + y * W + x, of each token in window order; (B * H * W,)."""
        height, width = self.size
        return self.cut(torch.arange(self.batch * height * width, device=device).unsqueeze(1)).squeeze(1)

    def cut(self, x: Tensor) -> Tensor:
        """Brings tokens (B * H * W, C) from raster order to window order, slice by slice."""
        maps = x.view(self.batch, *self.size, -1)
        parts = []
        for rows, columns in self._groups():
            part = maps[:, rows.span, columns.span]
            part = part.reshape(self.batch, rows.number, rows.length, columns.number, columns.length, -1)
            parts.append(part.transpose(2, 3).reshape(-1, x.size(1)))
        return torch.cat(parts)

    def join(self, x: Tensor) -> Tensor:
        """Brings tokens (B * H * W, C) from window order back to raster order, the reverse of :meth:`cut`."""
        bands, start = [], 0
        all_columns = axis_runs(self.size[1], self.window[1], self.shift[1])
        for rows in axis_runs(self.size[0], self.window[0], self.shift[0]):
            band = []
            for columns in all_columns:
                stop = start + self.batch * rows.number * rows.length * columns.number * columns.length
                part = x[start:stop].view(self.batch, rows.number, columns.number, rows.length, columns.length, -1)
                part = part.transpose(2, 3).reshape(self.batch, rows.number * rows.length, -1, x.size(1))
                band.append(part)
                start = stop
            bands.append(torch.cat(band, dim=2))
        return torch.cat(bands, dim=1).reshape(-1, x.size(1))

    def _groups(self) -> list[tuple[Runs, Runs]]:
        rows, columns = map(axis_runs, self.size, self.window, self.shift)
        return [(one, other) for one in rows for other in columns]


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
    return (int(height), int(width)) if _is_tracing() else (height, width)


def is_recording() -> bool:
    """Whether ``torch.compile``, ``torch.export`` or ``torch.jit.trace`` record: plain operations serve them best."""
    return torch.compiler.is_compiling() or _is_tracing()


def _is_tracing() -> bool:
    tracing: bool = torch.jit.is_tracing()  # type: ignore[no-untyped-call] # torch has no types for it
    return tracing


def reorder(x: Tensor, before: WindowGrid | None, after: WindowGrid | None) -> Tensor:
    """Brings tokens from one window order to another.

    Args:
        x: Tokens (T, C) in the order of ``before``.
        before: The grid whose order they have; None: raster order.
        after: The grid whose order they get; None: raster order.

    Returns:
        Tokens (T, C); ``x`` itself where the two orders are the same.
    """
    if before == after:
        return x
    if is_recording():  # a compiler makes of slices what an index would only hide from it
        raster = x if before is None else before.join(x)
        return raster if after is None else after.cut(raster)
    # Tensors that only stand for data, as in a fake tensor mode, cannot be kept for later.
    index, inverse = (_cached_indices if type(x) is Tensor else _indices)(before, after, x.device)
    gathered: Tensor = _Gather.apply(x, index, inverse)  # type: ignore[no-untyped-call] # torch has no types for it
    return gathered


def samples(x: Tensor, grid: WindowGrid) -> Tensor:
    """Returns for each token (T, C) in the order of ``grid`` which map of the batch it is of, (T,)."""
    find = _samples if is_recording() or type(x) is not Tensor else _cached_samples
    return find(grid, x.device)


class _Gather(torch.autograd.Function):
    """``x[index]`` for an index that is a permutation: its gradient is a gather too, by the inverse."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(index, inverse)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        index, inverse = ctx.saved_tensors
        gathered: Tensor = _Gather.apply(gradients[0], inverse, index)  # type: ignore[no-untyped-call]
        return gathered, None, None


def _indices(before: WindowGrid | None, after: WindowGrid | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where each token of ``after`` stands in ``before``, and the reverse."""
    if before is None:
        assert after is not None  # from raster order to raster order there is nothing to do
        index = after.order(device)
        return index, _inverse(index)
    order = before.order(device)
    if after is None:
        return _inverse(order), order
    index = _inverse(order)[after.order(device)]
    return index, _inverse(index)


def _inverse(permutation: Tensor) -> Tensor:
    inverse = torch.empty_like(permutation)
    inverse[permutation] = torch.arange(len(permutation), device=permutation.device)
    return inverse


@lru_cache(CACHED_ORDERS)
def _cached_indices(before: WindowGrid | None, after: WindowGrid | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """The same, kept: all blocks of a size and all images share it. Safe under threads, as lru_cache is."""
    with torch.inference_mode(False):  # a tensor made in inference mode could not be saved for a backward pass later
        return _indices(before, after, device)


def _samples(grid: WindowGrid, device: torch.device) -> Tensor:
    return grid.order(device) // (grid.size[0] * grid.size[1])


@lru_cache(CACHED_ORDERS)
def _cached_samples(grid: WindowGrid, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return _samples(grid, device)
