"""Normalised targets of SimMIM: each pixel in terms of its neighbourhood."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers.precision import without_autocast


def norm_targets(images: Tensor, window: int = 47) -> Tensor:
    """Subtracts from each pixel the mean of the window around it and divides by the deviation, by channel.

    As the official release computes it. Near a border mean and mean square are of the pixels that are
    there, n of them, and the variance is corrected by n / (n - 1).

    Args:
        images: (B, C, H, W).
        window: Side of the window in pixels, odd, at least 3.

    Returns:
        (B, C, H, W), float32 whatever the type of ``images`` or autocast: mean square minus squared mean
        cancels in half precision.

    Raises:
        ValueError: Another window.
    """
    mean, deviation = local_statistics(images, window)
    return (images.float() - mean) / deviation


def local_statistics(images: Tensor, window: int = 47) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the window around each pixel, of which :func:`norm_targets` is made.

    Returns:
        Two of shape (B, C, H, W), float32.
    """
    if window < 3 or window % 2 == 0:
        raise ValueError(f"the window of normalised targets must be an odd number of pixels, at least 3, got {window}")
    with without_autocast(images.device):
        x = images.float()
        mean = _window_mean(x, window)
        rows, columns = (_pixels_in_window(length, window, x.device) for length in x.shape[2:])
        count = rows[:, None] * columns  # (H, W)
        # One pixel alone, of an image of one pixel, has no variance.
        variance = (_window_mean(x.square(), window) - mean.square()) * count / (count - 1).clamp(min=1)
        return mean, (variance.clamp(min=0) + 1e-6).sqrt()


def _window_mean(x: Tensor, window: int) -> Tensor:
    """Mean over the pixels of the window that lie in the image: along one axis, then the other, which is quicker."""
    half = window // 2
    x = F.avg_pool2d(x, (window, 1), stride=1, padding=(half, 0), count_include_pad=False)
    return F.avg_pool2d(x, (1, window), stride=1, padding=(0, half), count_include_pad=False)


def _pixels_in_window(length: int, window: int, device: torch.device) -> Tensor:
    """For each place on an axis, how much of the window around it lies within the axis, (length,)."""
    place, half = torch.arange(length, device=device), window // 2
    return (place + half).clamp(max=length - 1) - (place - half).clamp(min=0) + 1
