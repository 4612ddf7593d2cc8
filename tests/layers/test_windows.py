"""Windows cut to the map are the padded, rolled and masked windows of the official release."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, library

from mmswinv2.layers import WindowGrid, axis_runs, reorder

from .. import reference
from .maps import Pair, grid_of


def map_windows(x: Tensor, window: Pair, shift: Pair, function: Callable[[Tensor, Pair], Tensor]) -> Tensor:
    """Applies ``function`` to the windows (n, h * w, C) of each shape of maps (B, H, W, C), and puts all back."""
    grid = grid_of(x, window, shift)
    tokens, parts, start = reorder(x.flatten(0, 2), None, grid), [], 0
    for number, shape in grid.cells:
        stop = start + number * shape[0] * shape[1]
        parts.append(function(tokens[start:stop].unflatten(0, (number, -1)), shape).flatten(0, 1))
        start = stop
    assert start == len(tokens)
    return reorder(torch.cat(parts), grid, None).view(*x.shape[:3], -1)


@st.composite
def axes(draw: st.DrawFn, max_size: int = 30) -> tuple[int, int, int]:
    """Size, window and shift of an axis, sizes above and below the window."""
    window = draw(st.integers(1, 9))
    return draw(st.integers(1, max_size)), window, draw(st.integers(0, window - 1))


@settings(deadline=None, derandomize=True, max_examples=300)
@given(axes())
def test_axis_runs_cut_the_axis_at_the_window_grid(axis: tuple[int, int, int]) -> None:
    """Runs cover the axis in order and join two tokens exactly when the grid does."""
    covered = []
    for start, count, length in axis_runs(*axis):
        covered += [(start + i * length, start + (i + 1) * length) for i in range(count)]
    runs = reference.grid_runs(*axis).tolist()
    size = axis[0]
    expected = [0, *(t for t in range(1, size) if runs[t] != runs[t - 1]), size]
    assert covered == list(pairwise(expected))
    assert len(axis_runs(*axis)) <= 3


@settings(deadline=None, derandomize=True, max_examples=200)
@given(axes(), axes(), st.integers(1, 3), st.integers(1, 200))
def test_parts_are_whole_windows_in_order(
    rows: tuple[int, int, int], columns: tuple[int, int, int], batch: int, tokens: int
) -> None:
    """Joined they are the grid, and none is larger than asked for, but where a single window is."""
    size, window, shift = zip(rows, columns, strict=True)
    grid = WindowGrid(batch, size, window, shift)
    parts, start, windows = list(grid.parts(tokens)), 0, []
    for part in parts:
        assert part.span.start == start
        assert part.fitted_window == grid.fitted_window
        start = part.span.stop
        number = sum(cells.number for cells in part.cells)
        assert number == 1 or part.span.stop - part.span.start <= tokens
        windows += [shape for n, shape in part.cells for _ in range(n)]
    assert start == batch * size[0] * size[1]
    assert windows == [shape for n, shape in grid.cells for _ in range(n)]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(axes(), axes())
def test_each_window_gets_its_own_tokens_and_they_return_to_their_place(
    rows: tuple[int, int, int], columns: tuple[int, int, int]
) -> None:
    """A function that sums its window, so that one token too many or too few shows; checked against the grid itself."""
    x = torch.randint(1, 1000, (2, rows[0], columns[0], 3)).double()
    _, window, shift = zip(rows, columns, strict=True)

    def add_window_sum(windows: Tensor, cell: tuple[int, int]) -> Tensor:
        assert windows.shape[1:] == (cell[0] * cell[1], 3)
        return torch.cat([windows, windows.sum(1, keepdim=True).expand_as(windows)], dim=-1)

    out = map_windows(x, window, shift, add_window_sum)
    assert torch.equal(out[..., :3], x)
    row_runs, column_runs = (reference.grid_runs(*axis) for axis in (rows, columns))
    together = row_runs[:, None, None, None] == row_runs[None, None, :, None]
    together = together & (column_runs[None, :, None, None] == column_runs[None, None, None, :])  # (H, W, H, W)
    assert torch.equal(out[..., 3:], torch.einsum("hwyx,byxc->bhwc", together.double(), x))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(axes(), axes())
def test_same_windows_as_pad_roll_and_mask(rows: tuple[int, int, int], columns: tuple[int, int, int]) -> None:
    """Mean of each window, with what the mask forbids and the padding left out."""
    x = torch.randn(2, rows[0], columns[0], 3, dtype=torch.float64)
    _, window, shift = zip(rows, columns, strict=True)

    def masked_mean(windows: Tensor, labels: Tensor) -> Tensor:
        together = (labels[:, :, None] == labels[:, None, :]).to(windows.dtype)  # (windows, N, N)
        return together / together.sum(-1, keepdim=True) @ windows

    actual = map_windows(x, window, shift, lambda windows, _: windows.mean(1, keepdim=True).expand_as(windows))
    expected = reference.in_windows(x, window, shift, masked_mean)
    torch.testing.assert_close(actual, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("size", [16, 25, 50])
def test_a_map_is_cut_into_at_most_nine_groups(size: int) -> None:
    """The speed of the cut windows rests on few calls for many windows."""
    groups = []

    def note(windows: Tensor, cell: tuple[int, int]) -> Tensor:
        groups.append(windows.size(0) * cell[0] * cell[1])
        return windows

    map_windows(torch.zeros(1, size, size, 1), (4, 4), (2, 2), note)
    assert len(groups) <= 9
    assert sum(groups) == size * size  # no token twice, none of padding


def test_the_picture_in_the_docstring() -> None:
    """A map of 4 x 5 tokens at window 2 and shift 1."""
    grid = WindowGrid(1, (4, 5), (2, 2), (1, 1))
    expected = [0, 1, 2, 3, 4, 5, 10, 6, 7, 11, 12, 8, 9, 13, 14, 15, 16, 17, 18, 19]
    assert grid.order(torch.device("cpu")).tolist() == expected
    assert grid.cells == [(1, (1, 1)), (2, (1, 2)), (1, (2, 1)), (2, (2, 2)), (1, (1, 1)), (2, (1, 2))]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(axes(), axes(), st.integers(1, 3))
def test_reordering_step_by_step_is_reordering_at_once(
    rows: tuple[int, int, int], columns: tuple[int, int, int], batch: int
) -> None:
    """Raster, one grid, another, raster: the tokens are back, and gradients take the same way."""
    size, window, shift = zip(rows, columns, strict=True)
    plain, shifted = WindowGrid(batch, size, window, (0, 0)), WindowGrid(batch, size, window, shift)
    x = torch.randn(batch * size[0] * size[1], 2, requires_grad=True)
    there = reorder(reorder(x, None, plain), plain, shifted)
    assert torch.equal(there, reorder(x, None, shifted))
    assert torch.equal(reorder(there, shifted, None), x)
    weights = torch.randn_like(x)
    (gradient,) = torch.autograd.grad((there * weights).sum(), x)
    assert torch.equal(reorder(gradient, None, shifted), weights)


def test_an_index_made_in_inference_mode_serves_a_training() -> None:
    grid = WindowGrid(1, (5, 7), (3, 3), (1, 1))
    with torch.inference_mode():
        reorder(torch.randn(35, 2), None, grid)
    x = torch.randn(35, 2, requires_grad=True)
    reorder(x, None, grid).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_operators_are_what_torch_asks_of_them() -> None:
    """Their schema, what they say of shapes, and their gradients, also with symbolic sizes."""
    grid, other = WindowGrid(2, (5, 7), (3, 4), (1, 2)), WindowGrid(2, (5, 7), (3, 4), (0, 0))
    x = torch.randn(70, 6, requires_grad=True)
    library.opcheck(torch.ops.mmswinv2.reorder.default, (x, grid.numbers, other.numbers))
    qkv, scale, bias = torch.randn(70, 3, 2, 4), torch.rand(2), torch.randn(2, 12, 12)
    leaves = [leaf.requires_grad_() for leaf in (qkv, scale, bias)]
    library.opcheck(torch.ops.mmswinv2.attend.default, (*leaves, grid.numbers, grid.fitted_window))
