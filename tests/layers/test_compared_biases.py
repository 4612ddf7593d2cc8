"""The position biases that the paper compares: equal where they must be, resized as Swin V1 resizes its table."""

import math

import pytest
import torch
from torch import Tensor

from mmswinv2.layers import (
    POSITION_BIASES,
    BiasTable,
    LinearCPB,
    LogCPB,
    PositionBias,
    WindowAttention,
    WindowGrid,
    resize_table,
    window_coordinates,
)
from mmswinv2.layers.compared_biases import make_position_bias

from .. import reference

PRETRAINED = torch.tensor([8, 6])


@pytest.fixture(params=POSITION_BIASES)
def bias(request: pytest.FixtureRequest) -> PositionBias:
    return reference.randomize_(make_position_bias(request.param, 3, (8, 6)))


@pytest.mark.parametrize("window", [(8, 6), (5, 6), (1, 3), (1, 1)])
def test_equal_offsets_have_equal_bias_in_every_window(bias: PositionBias, window: tuple[int, int]) -> None:
    """A window that the map cuts short has the biases that the whole one has, whatever gives them."""
    h, w = window
    whole = bias.bias((8, 6), PRETRAINED).reshape(3, 8, 6, 8, 6)
    expected = whole[:, :h, :w, :h, :w].reshape(3, h * w, h * w)
    torch.testing.assert_close(bias.bias(window, PRETRAINED), expected, atol=1e-6, rtol=0)


def test_a_table_looks_an_offset_up() -> None:
    """Entry [dy + h - 1, dx + w - 1] is the bias of token i, from which j lies at the offset -(dy, dx), as in V1."""
    table = reference.randomize_(BiasTable(2, (3, 4)))
    bias = table.bias((3, 4), PRETRAINED).reshape(2, 3, 4, 3, 4)
    for yi, xi, yj, xj in [(0, 0, 2, 3), (2, 1, 0, 3), (1, 1, 1, 1)]:
        assert torch.equal(bias[:, yi, xi, yj, xj], table.table[yi - yj + 2, xi - xj + 3])


def test_a_table_that_holds_the_values_of_log_cpb_is_log_cpb_at_its_window() -> None:
    log, table = reference.randomize_(LogCPB(3)), BiasTable(3, (8, 6))
    table.table.data = log.offset_table((8, 6), PRETRAINED).detach()
    assert torch.equal(table.bias((8, 6), PRETRAINED), log.bias((8, 6), PRETRAINED))


def test_linear_coordinates_by_hand() -> None:
    """Offsets over the greatest of the pretrained window; 15 tokens are 15/7 of it where log-CPB is at 1.39 of 1.06."""
    offset = torch.tensor([[7, 0], [-7, 5], [15, -10], [1, 1]])
    actual = LinearCPB(1).coordinates(offset, PRETRAINED)
    torch.testing.assert_close(actual, torch.tensor([[1, 0], [-1, 1], [15 / 7, -2], [1 / 7, 1 / 5]]), atol=1e-6, rtol=0)


def test_linear_and_log_agree_where_their_coordinates_do() -> None:
    """With the same weights: at the offset 0, and wherever log-CPB's coordinates are put in for the linear ones."""
    log = reference.randomize_(LogCPB(3))
    linear = LinearCPB(3)
    linear.load_state_dict(log.state_dict())
    biases = [network.bias((8, 6), PRETRAINED) for network in (log, linear)]
    diagonals = [bias.diagonal(dim1=1, dim2=2) for bias in biases]
    torch.testing.assert_close(*diagonals, atol=1e-6, rtol=0)
    assert (biases[0] - biases[1]).abs().max() > 0.1
    at_log = linear.evaluate(window_coordinates((8, 6), PRETRAINED))
    torch.testing.assert_close(at_log, log.offset_table((8, 6), PRETRAINED), atol=1e-6, rtol=0)


def v1_resized(table: Tensor, length: int) -> Tensor:
    """The official code of Swin V1, ``load_pretrained``: a table (L1, heads) becomes one of (L2, heads)."""
    side, new_side, heads = math.isqrt(table.size(0)), math.isqrt(length), table.size(1)
    resized = torch.nn.functional.interpolate(
        table.permute(1, 0).view(1, heads, side, side), size=(new_side, new_side), mode="bicubic"
    )
    return resized.view(heads, length).permute(1, 0)


@pytest.mark.parametrize(("window", "larger"), [(8, 16), (7, 12), (8, 5)])
def test_a_table_is_resized_as_v1_resizes_it(window: int, larger: int) -> None:
    side, new_side = 2 * window - 1, 2 * larger - 1
    table = torch.randn(side, side, 3)
    actual = resize_table(table, torch.Size([new_side, new_side, 3]))
    expected = v1_resized(table.reshape(-1, 3), new_side**2).reshape(new_side, new_side, 3)
    torch.testing.assert_close(actual, expected, atol=0, rtol=0)
    assert resize_table(table, table.shape) is table


def test_every_parameter_of_each_learns(bias: PositionBias) -> None:
    bias.bias((8, 6), PRETRAINED).square().sum().backward()
    for parameter in bias.parameters():
        assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("kind", POSITION_BIASES)
def test_attention_adds_the_bias(kind: str) -> None:
    """The window's own bias is what attention is given, whichever it is: with it at 0 the output differs."""
    module = reference.randomize_(WindowAttention(24, 3, (4, 4), kind))
    grid = WindowGrid(1, (4, 4), (4, 4), (0, 0))
    x = torch.randn(16, 24)
    with torch.no_grad():
        before = module(x, grid, torch.tensor([4, 4]))
        if kind == "table":
            module.position_bias.table.zero_()
        else:
            module.position_bias[2].weight.zero_()  # 16 * sigmoid(0) everywhere: no preference
        after = module(x, grid, torch.tensor([4, 4]))
    assert (before - after).abs().max() > 1e-3
