"""A block: residual post-norm, the reach of its windows, stochastic depth."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmswinv2.layers import SwinV2Block, SwinV2Stage

from .. import reference
from .maps import on_map

WINDOW, SHIFT = (4, 6), (2, 3)
PRETRAINED = torch.tensor([8, 8])


def make_block(**options: object) -> SwinV2Block:
    return reference.randomize_(SwinV2Block(16, 2, (8, 8), **options))


@pytest.mark.parametrize("extra_norm", [False, True])
@pytest.mark.parametrize("shift", [(0, 0), SHIFT])
@pytest.mark.parametrize("size", [(8, 12), (13, 19), (3, 40), (1, 1)])
@torch.no_grad()
def test_same_as_the_official_block(size: tuple[int, int], shift: tuple[int, int], extra_norm: bool) -> None:
    """To 1e-5, against float64, with every tensor random and maps of any size."""
    block = make_block(extra_norm=extra_norm).eval()
    x = torch.randn(2, *size, 16)
    params = {name: tensor.double() for name, tensor in block.state_dict().items()}
    expected = reference.block(x.double(), params, WINDOW, shift, tuple(PRETRAINED.tolist()))
    torch.testing.assert_close(on_map(block, x, WINDOW, shift, PRETRAINED).double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("dims", "heads", "window"), [(96, 3, 8), (96, 3, 16), (128, 4, 24), (768, 24, 8), (1024, 32, 8), (1024, 32, 12)]
)
@torch.no_grad()
def test_same_as_the_official_block_at_real_widths(dims: int, heads: int, window: int) -> None:
    """First and last stages of T, S and B, bias pretrained at 12 for windows above it.

    Scales up to 10, where training begins: at 30 the rounding of float32 itself comes to 1e-5 here.
    """
    shift = (window // 2, window // 2)
    block = SwinV2Block(dims, heads, (8, 8)).eval()
    reference.randomize_(block, max_logit_scale=10.0)
    pretrained = (min(window, 12),) * 2
    x = torch.randn(1, 2 * window, 2 * window, dims)
    params = {name: tensor.double() for name, tensor in block.state_dict().items()}
    expected = reference.block(x.double(), params, (window, window), shift, pretrained)
    actual = on_map(block, x, (window, window), shift, torch.tensor(pretrained))
    torch.testing.assert_close(actual.double(), expected, atol=1e-5, rtol=0)


def test_a_new_block_is_the_identity() -> None:
    """The gains of the post-norms begin at zero, also in training and whatever the other weights."""
    block = SwinV2Block(16, 2, (8, 8), drop_path_rate=0.5)
    reference.randomize_(block.attn)
    block.reset_post_norms()
    x = torch.randn(3, 7, 9, 16)
    assert torch.equal(on_map(block, x, WINDOW, SHIFT, PRETRAINED), x)
    with_extra_norm = SwinV2Block(16, 2, (8, 8), extra_norm=True)
    with_extra_norm.reset_post_norms()
    assert torch.equal(on_map(with_extra_norm, x, WINDOW, SHIFT, PRETRAINED), with_extra_norm.enorm(x))


def sensitive(block: SwinV2Block) -> SwinV2Block:
    """Evens the attention out, so that a change of one token shows at every token that attends to it."""
    with torch.no_grad():
        block.attn.logit_scale.zero_()
        block.attn.position_bias[2].weight.mul_(0.1)
    return block.eval()


@pytest.mark.parametrize("shift", [(0, 0), SHIFT])
@settings(deadline=None, derandomize=True, max_examples=40)
@given(height=st.integers(1, 21), width=st.integers(1, 27), position=st.tuples(st.integers(0, 99), st.integers(0, 99)))
@torch.no_grad()
def test_a_token_reaches_its_window_and_nothing_else(
    shift: tuple[int, int], height: int, width: int, position: tuple[int, int]
) -> None:
    """No leak over an edge of map or window: outside, outputs stay bit for bit the same; inside, all change."""
    block = sensitive(make_block())
    y, x = position[0] % height, position[1] % width
    image = torch.randn(2, height, width, 16)
    perturbed = image.clone()
    perturbed[1, y, x] += torch.randn(16)
    before, after = (on_map(block, maps, WINDOW, shift, PRETRAINED) for maps in (image, perturbed))
    changed = (before != after).any(-1)
    rows = reference.grid_runs(height, WINDOW[0], shift[0])
    columns = reference.grid_runs(width, WINDOW[1], shift[1])
    expected = torch.zeros(2, height, width, dtype=torch.bool)
    expected[1] = (rows == rows[y])[:, None] & (columns == columns[x])[None, :]
    assert torch.equal(changed, expected)


def test_a_dropped_path_is_exactly_the_identity() -> None:
    """DropPath comes after the norm: a dropped branch adds 0, not the norm's bias; a kept one is scaled by 1 / keep."""
    block = make_block(drop_path_rate=0.75).train()
    nn.init.zeros_(block.norm2.weight)
    nn.init.zeros_(block.norm2.bias)  # leaves the attention branch alone
    x = torch.randn(64, 4, 6, 16)
    out = on_map(block, x, WINDOW, SHIFT, PRETRAINED)
    branch = block.norm1(on_map(block.attn, x, WINDOW, SHIFT, PRETRAINED))
    dropped = (out == x).flatten(1).all(1)
    assert 32 < dropped.sum() < 64  # of 64 at 0.75: 48 on average, 3.5 deviation
    torch.testing.assert_close(out[~dropped], (x + 4 * branch)[~dropped], atol=1e-4, rtol=0)
    assert torch.equal(on_map(block.eval(), x, WINDOW, SHIFT, PRETRAINED), x + branch)


def test_a_stage_shifts_every_second_block_by_half_a_window() -> None:
    """The same as its blocks one after the other on maps, and back in raster order."""
    stage = reference.randomize_(SwinV2Stage(16, 4, 2, (3, 4), [0.0, 0.1, 0.2, 0.3])).eval()
    assert [block.drop_path.drop_rate for block in stage.blocks] == [0.0, 0.1, 0.2, 0.3]
    x = torch.randn(2, 7, 9, 16)
    expected = x
    for block, shift in zip(stage.blocks, [(0, 0), (1, 2), (0, 0), (1, 2)], strict=True):
        expected = on_map(block, expected, (3, 4), shift, PRETRAINED)
    assert torch.equal(stage(x.flatten(0, 2), 2, (7, 9), PRETRAINED).view_as(x), expected)
