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

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, library
from torch.fx.experimental.symbolic_shapes import statically_known_true

KNOWS_EXPORT = hasattr(torch.compiler, "is_exporting")  # from torch 2.7 on
CACHED_ORDERS = 128  # of 800 x 1344 px, a stage keeps three or four, of 1 MB an image at the first one


Pair = tuple[int, int]  # of rows and columns


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


class GridPart(NamedTuple):
    """Some windows of a grid that stand next to each other in its order, for work on a few windows at a time.

    Attributes:
        start: The first of their tokens.
        cells: The windows by shape.
        fitted_window: As of the :class:`WindowGrid`.
    """

    start: int
    cells: list[Cells]
    fitted_window: Pair

    @property
    def span(self) -> slice:
        """Their tokens, in window order."""
        return slice(self.start, self.start + sum(number * h * w for number, (h, w) in self.cells))


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
    def numbers(self) -> list[int]:
        """The grid as an operator of torch takes it; :meth:`of` makes it anew."""
        return [self.batch, *self.size, *self.window, *self.shift]

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "WindowGrid":
        """The grid of these :attr:`numbers`."""
        batch, *pairs = numbers
        return cls(batch, (pairs[0], pairs[1]), (pairs[2], pairs[3]), (pairs[4], pairs[5]))

    @property
    def fitted_window(self) -> Pair:
        """The window of the largest cell: no longer than the map, where a compiler knows the size of that."""
        height, width = (
            side if statically_known_true(side < window) else window
            for side, window in zip(self.size, self.window, strict=True)
        )
        return height, width

    @property
    def cells(self) -> list[Cells]:
        """The windows by shape, in window order; at most nine entries."""
        return [
            Cells(self.batch * rows.number * columns.number, (rows.length, columns.length))
            for rows, columns in self._groups()
        ]

    def parts(self, tokens: int) -> Iterator[GridPart]:
        """Cuts the grid into parts of so many ``tokens`` at the most, but at least one window."""
        cells: list[Cells] = []
        start = held = 0
        for number, shape in self.cells:
            area = shape[0] * shape[1]
            while number:
                taken = min(number, max((tokens - held) // area, 0 if cells else 1))
                if taken:
                    cells.append(Cells(taken, shape))
                    held, number = held + taken * area, number - taken
                else:
                    yield GridPart(start, cells, self.fitted_window)
                    cells, start, held = [], start + held, 0
        yield GridPart(start, cells, self.fitted_window)

    def order(self, device: torch.device) -> Tensor:
        """Place in raster order, b * H * W + y * W + x, of each token in window order; (B * H * W,)."""
        height, width = self.size
        places = torch.arange(self.batch * height * width, device=device).view(self.batch, height, width)
        parts = []
        for rows, columns in self._groups():
            part = places[:, rows.span, columns.span]
            part = part.reshape(self.batch, rows.number, rows.length, columns.number, columns.length)
            parts.append(part.transpose(2, 3).flatten())
        return torch.cat(parts)

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

    While :func:`torch.jit.trace` records, sizes are tensors, and this makes them numbers. So a trace holds for one
    size. Under ``torch.compile`` and ``torch.export`` they may be symbolic and stay so.
    """
    _, height, width, _ = x.shape
    return (int(height), int(width)) if _is_tracing() else (height, width)


def is_exporting() -> bool:
    """Whether ``torch.export`` or ``torch.jit.trace`` record: what they write knows torch's own operations alone.

    Tokens stay in raster order then, and attention cuts windows by padding; see :mod:`.padding`.
    """
    return _is_tracing() or (KNOWS_EXPORT and torch.compiler.is_exporting())


def _is_tracing() -> bool:
    tracing: bool = torch.jit.is_tracing()  # type: ignore[no-untyped-call] # torch has no types for it
    return tracing


def runs_at_once(x: Tensor) -> bool:
    """Whether nobody records what is done with ``x``: no gradient, no compiler, no tensor that only stands for data."""
    is_recorded = torch.is_grad_enabled() or torch.compiler.is_compiling() or is_exporting()
    return type(x) is Tensor and not is_recorded


def reorder(x: Tensor, before: WindowGrid | None, after: WindowGrid | None) -> Tensor:
    """Brings tokens from one window order to another.

    Args:
        x: Tokens (T, C) in the order of ``before``.
        before: The grid whose order they have; None: raster order.
        after: The grid whose order they get; None: raster order.

    Returns:
        Tokens (T, C); ``x`` itself where the two orders are the same, and where a model is exported.
    """
    if before == after or is_exporting():
        return x
    if runs_at_once(x):
        return x.index_select(0, _cached_index(before, after, x.device))
    reordered: Tensor = _reorder(x, before.numbers if before else [], after.numbers if after else [])
    return reordered


# An operator of our own is one node of a compiled graph. It is given sizes as numbers when it runs, so a graph with
# symbolic sizes holds for all of them, without a branch for each way in which windows divide a map.
@library.custom_op("mmswinv2::reorder", mutates_args=(), tags=(torch.Tag.flexible_layout,))
def _reorder(x: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
    grids = (WindowGrid.of(numbers) if numbers else None for numbers in (before, after))
    return x.index_select(0, _cached_index(*grids, x.device))


@_reorder.register_fake
def _(x: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _keep_orders(ctx: Any, inputs: tuple[Tensor, Sequence[int], Sequence[int]], output: Tensor) -> None:
    _, ctx.before, ctx.after = inputs


def _reorder_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    return _reorder(gradient, ctx.after, ctx.before), None, None  # the way back


_reorder.register_autograd(_reorder_backward, setup_context=_keep_orders)


def samples(x: Tensor, grid: WindowGrid) -> Tensor:
    """Returns for each token (T, C) in the order of ``grid`` which map of the batch it is of, (T,)."""
    raster = torch.arange(len(x), device=x.device) // (grid.size[0] * grid.size[1])
    return reorder(raster.unsqueeze(1), None, grid).squeeze(1)


@lru_cache(CACHED_ORDERS)
def _cached_index(before: WindowGrid | None, after: WindowGrid | None, device: torch.device) -> Tensor:
    """Where each token of ``after`` stands in ``before``, (T,). All blocks of a size and all images share it.

    It is safe under threads, as lru_cache is.
    """
    with torch.inference_mode(False):  # a tensor made in inference mode could not be used in a training later
        if before is None:
            assert after is not None  # from raster order to raster order there is nothing to do
            return after.order(device)
        inverse = _inverse(before.order(device))
        return inverse if after is None else inverse[after.order(device)]


def _inverse(permutation: Tensor) -> Tensor:
    inverse = torch.empty_like(permutation)
    inverse[permutation] = torch.arange(len(permutation), device=permutation.device)
    return inverse
