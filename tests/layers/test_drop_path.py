"""Stochastic depth drops whole samples and keeps the expectation."""

import torch

from mmswinv2.layers import DropPath


def test_samples_are_dropped_whole_and_the_rest_is_scaled() -> None:
    x = torch.randn(4000, 3, 2)
    out = DropPath(0.25)(x)
    kept = out.flatten(1).any(1)
    assert torch.equal(out[~kept], torch.zeros_like(out[~kept]))
    torch.testing.assert_close(out[kept], x[kept] / 0.75)
    assert abs(kept.float().mean() - 0.75) < 0.03  # 4 deviations


def test_expectation_is_the_input() -> None:
    out = DropPath(0.5)(torch.ones(10000, 1))
    assert abs(out.mean() - 1) < 0.04  # 4 deviations


def test_nothing_happens_without_training_or_at_rate_zero() -> None:
    x = torch.randn(5, 3)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0)(x) is x
