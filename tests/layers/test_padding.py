"""Windows by padding and masking, which exported models have, give what windows that are cut to the map give."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmswinv2.layers import LogCPB, WindowGrid, reorder
from mmswinv2.layers.padding import attend_padded
from mmswinv2.layers.recompute import attend, directions

from .. import reference


@st.composite
def grids(draw: st.DrawFn) -> WindowGrid:
    """Grids of up to three maps of any size, above and below the window, shifted or not."""
    sides, windows = (draw(st.tuples(st.integers(1, most), st.integers(1, most))) for most in (13, 6))
    shift = tuple(draw(st.sampled_from((0, window // 2))) for window in windows)
    return WindowGrid(draw(st.integers(1, 3)), sides, windows, shift)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(grids())
def test_padded_windows_are_the_same_in_value_and_gradient(grid: WindowGrid) -> None:
    """In float64, with logits up to 100 and a bias that offsets alone decide, as a position bias is."""
    tokens, window = grid.batch * grid.size[0] * grid.size[1], grid.fitted_window
    torch.manual_seed(tokens)
    bias = reference.randomize_(LogCPB(2)).bias(window, torch.tensor(window)).detach().double()
    qkv, scale = torch.randn(tokens, 3, 2, 4, dtype=torch.float64), torch.rand(2, dtype=torch.float64) * 100
    leaves = [leaf.requires_grad_() for leaf in (qkv, scale, bias)]
    padded = attend_padded(*directions(qkv, scale), bias, grid)
    cut = reorder(attend(reorder(qkv.flatten(1), None, grid).view(qkv.shape), scale, bias, grid), grid, None)
    torch.testing.assert_close(padded, cut, atol=1e-9, rtol=0)
    weights = torch.randn_like(cut)
    for one, other in zip(*(torch.autograd.grad((x * weights).sum(), leaves[:2]) for x in (padded, cut)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("value", [0.0, 1e30])
def test_what_a_map_is_filled_with_is_hidden(value: float) -> None:
    """The places without a token hold some token: whichever it is, it is no key."""
    grid = WindowGrid(1, (3, 5), (4, 4), (0, 2))
    x = torch.randn(15, 1, 4)
    first = attend_padded(x, x, x, torch.zeros(1, 12, 12), grid)
    x_other = x.clone()
    x_other[0] = value  # the token that stands in for them; it is in the first window alone
    other = attend_padded(x, x, x_other, torch.zeros(1, 12, 12), grid)
    columns = torch.arange(15) % 5
    assert torch.equal(first[columns >= 2], other[columns >= 2])
