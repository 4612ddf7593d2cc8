"""A backbone with the position biases that the paper compares."""

import pytest
import torch

from mmswinv2.errors import ConfigError

from .small_backbone import loss_of, make


@pytest.mark.parametrize("position_bias", ["linear_cpb", "table"])
def test_other_position_biases_take_any_size(position_bias: str) -> None:
    """Maps larger than the window, smaller, and of no multiple of it; every parameter learns."""
    model = make(position_bias=position_bias, drop_path_rate=0.0)
    for size in [(64, 64), (37, 90), (9, 5)]:
        loss_of(model(torch.randn(2, 3, *size))).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("position_bias", ["linear_cpb", "table"])
def test_a_kept_bias_is_the_one_computed_anew(position_bias: str) -> None:
    """What inference keeps between images holds until weights change."""
    model = make(position_bias=position_bias).eval()
    image = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        model(image)
        for parameter in model.parameters():
            parameter.data.mul_(1.1)
        kept = model(image)
    for actual, expected in zip(kept, model(image), strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)


def test_an_unknown_position_bias_is_refused() -> None:
    expected = r"position_bias must be one of 'log_cpb', 'linear_cpb', 'table', got 'logcpb'; did you mean 'log_cpb'"
    with pytest.raises(ConfigError, match=expected):
        make(position_bias="logcpb")
