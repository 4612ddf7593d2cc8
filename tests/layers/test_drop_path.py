"""Stochastic depth drops whole samples and keeps the expectation."""

import torch
from torch import Tensor

from mmswinv2.layers import DropPath, WindowGrid, reorder


def dropped(rate: float, x: Tensor) -> Tensor:
    """Maps (B, H, W, C) after stochastic depth, whose tokens come in a shifted window order."""
    grid = WindowGrid(x.size(0), (x.size(1), x.size(2)), (2, 2), (1, 1))
    return reorder(DropPath(rate)(reorder(x.flatten(0, 2), None, grid), grid), grid, None).view_as(x)


def test_samples_are_dropped_whole_and_the_rest_is_scaled() -> None:
    x = torch.randn(4000, 3, 5, 2)
    out = dropped(0.25, x)
    kept = out.flatten(1).any(1)
    assert torch.equal(out[~kept], torch.zeros_like(out[~kept]))
    torch.testing.assert_close(out[kept], x[kept] / 0.75)
    assert abs(kept.float().mean() - 0.75) < 0.03  # 4 deviations


def test_expectation_is_the_input() -> None:
    out = dropped(0.5, torch.ones(10000, 1, 1, 1))
    assert abs(out.mean() - 1) < 0.04  # 4 deviations


def test_a_batch_of_one_is_dropped_too() -> None:
    outs = [dropped(0.5, torch.ones(1, 2, 2, 1)) for _ in range(64)]
    assert {float(out.mean()) for out in outs} == {0.0, 2.0}


def test_nothing_happens_without_training_or_at_rate_zero() -> None:
    x, grid = torch.randn(5, 3), WindowGrid(5, (1, 1), (2, 2), (0, 0))
    assert DropPath(0.9).eval()(x, grid) is x
    assert DropPath(0.0)(x, grid) is x
