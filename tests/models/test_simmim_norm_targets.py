"""Normalised targets against their definition, window by window."""

import pytest
import torch
from torch import Tensor

from mmswinv2.models.simmim import multiplied_mean, norm_targets, pooled_mean


def pixel_by_pixel(images: Tensor, window: int) -> Tensor:
    """The definition in float64: what lies in the window, its mean, its unbiased variance plus 1e-6."""
    images, half = images.double(), window // 2
    targets = torch.empty_like(images)
    for y in range(images.size(2)):
        for x in range(images.size(3)):
            patch = images[:, :, max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1].flatten(2)
            deviation = (patch.var(dim=2, correction=1) + 1e-6).sqrt()
            targets[:, :, y, x] = (images[:, :, y, x] - patch.mean(dim=2)) / deviation
    return targets


@pytest.mark.parametrize(
    ("size", "window"),
    [((21, 21), 5), ((13, 30), 7), ((64, 57), 47), ((20, 33), 47), ((1, 9), 3), ((2, 2), 3)],
)
def test_equals_the_definition_borders_included(size: tuple[int, int], window: int) -> None:
    """Odd and oblong images, and such as the window covers whole."""
    images = torch.randn(2, 3, *size) * torch.tensor([0.3, 1.0, 2.0]).view(1, 3, 1, 1) + 0.5
    expected = pixel_by_pixel(images, window)
    assert expected.std() > 0.5
    torch.testing.assert_close(norm_targets(images, window).double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "window"), [((21, 30), 5), ((64, 57), 47), ((1, 9), 3)])
def test_a_matrix_product_averages_as_pooling_does(size: tuple[int, int], window: int) -> None:
    """In float32 from float64, so it is the nearer of the two to the definition."""
    images = torch.randn(2, 3, *size) + 5
    exact = pooled_mean(images.double(), window)
    torch.testing.assert_close(multiplied_mean(images, window), exact.float(), rtol=2e-7, atol=0)
    torch.testing.assert_close(pooled_mean(images, window), exact.float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_changes_nothing(dtype: torch.dtype) -> None:
    """Half precision would round mean squares to 3 digits; the offset makes that visible."""
    images = (torch.randn(1, 3, 32, 40) * 0.1 + 2).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        targets = norm_targets(images, 15)
    assert targets.dtype == torch.float32
    torch.testing.assert_close(targets.double(), pixel_by_pixel(images, 15), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("value", [0.0, 2.6, -255.0])
@pytest.mark.parametrize("size", [(1, 1), (16, 48)])
def test_a_constant_image_is_finite(value: float, size: tuple[int, int]) -> None:
    targets = norm_targets(torch.full((1, 3, *size), value))
    assert targets.isfinite().all() and targets.abs().max() < 0.1


@pytest.mark.parametrize("window", [1, 2, 46, 0, -3])
def test_other_windows_are_refused(window: int) -> None:
    with pytest.raises(ValueError, match="odd number of pixels, at least 3"):
        norm_targets(torch.zeros(1, 3, 8, 8), window)
