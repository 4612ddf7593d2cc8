"""In low precision the backbone stays finite, and in float32 it is as exact as the official arithmetic."""

import copy

import pytest
import torch
from torch import nn

from mmswinv2.errors import ConfigError

from .. import reference
from .small_backbone import SMALL, make


def extreme(model: nn.Module) -> nn.Module:
    """Scales beyond the clamp, and activations that grow to some thousand on the main branch."""
    for name, parameter in model.named_parameters():
        if name.endswith("logit_scale"):
            nn.init.constant_(parameter, 9.0)
        elif name.endswith(("norm1.weight", "norm2.weight")):
            nn.init.constant_(parameter, 500.0)
    return model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [(50, 61), (1, 1), (1, 40), (40, 1)])
@pytest.mark.parametrize("window", [4, 1])
def test_finite_under_autocast(dtype: torch.dtype, window: int, size: tuple[int, int]) -> None:
    """Outputs and gradients, at clamped scales and large activations, windows of one token and images of one pixel."""
    model = extreme(make(window_size=window, arch={**SMALL, "extra_norm_period": None}))
    with torch.autocast("cpu", dtype):
        outputs = model(torch.randn(1, 3, *size) * 100)
        loss = sum(x.float().square().mean() for x in outputs)
    loss.backward()
    assert all(x.isfinite().all() for x in outputs)
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_finite_in_low_precision(dtype: torch.dtype) -> None:
    """A model cast as a whole, and close to the float32 one as far as its eps goes."""
    model = make(arch={**SMALL, "extra_norm_period": None}).eval()
    image = torch.randn(1, 3, 50, 61)
    exact = model(image)
    outputs = copy.deepcopy(model).to(dtype)(image.to(dtype))
    for x, y in zip(outputs, exact, strict=True):
        assert x.dtype == dtype
        assert x.isfinite().all()
        deviation = (x.float() - y).square().mean().sqrt()
        assert deviation < 8 * torch.finfo(dtype).eps  # outputs have a deviation of about 1
    finite = extreme(model).to(dtype)(image.to(dtype))
    assert all(x.isfinite().all() for x in finite)


@torch.no_grad()
def test_clamped_scales_are_as_exact_as_float32_allows() -> None:
    """Logits of 116 cost 7 bits: the official arithmetic in float32 is no nearer to the one in float64."""
    model = make(arch={**SMALL, "extra_norm_period": None}).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("logit_scale"):
            parameter.uniform_(3.0, 6.0)
    image = torch.randn(1, 3, 64, 64)
    state = model.state_dict()
    exact_state = {name: t.double() if t.is_floating_point() else t for name, t in state.items()}
    exact = reference.network(exact_state, image.double(), model.window_sizes, model.window_sizes)
    official = reference.network(state, image, model.window_sizes, model.window_sizes)
    for actual, single, double in zip(model(image), official, exact, strict=True):
        deviation = (actual - double).square().mean().sqrt()
        assert deviation < 2 * (single - double).square().mean().sqrt()
        assert deviation < 1e-4


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64, torch.float16, torch.complex64])
def test_images_of_another_type_get_a_sentence(dtype: torch.dtype) -> None:
    with pytest.raises(ConfigError, match=rf"expected images of torch.float32, got {dtype}: a data_preprocessor makes"):
        make()(torch.ones(1, 3, 32, 32).to(dtype))
