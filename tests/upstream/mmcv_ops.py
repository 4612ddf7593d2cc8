"""Takes the place of mmcv's compiled module ``_ext`` beside mmcv-lite, which has all of mmcv's Python and no binary.

``make test-upstream`` copies it there. Two ops are real, torchvision's kernels of the same algorithms; a Mask R-CNN
needs no others. Every other op can be imported and raises when it is called.
"""

from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes (n, 4) that are kept, best first."""
    if offset:
        raise NotImplementedError("torchvision's nms has no offset")
    return torchvision.ops.nms(boxes, scores, iou_threshold)


def roi_align_forward(
    features: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **options: Any
) -> None:
    """Writes what is pooled from ``features`` (B, C, H, W) at ``rois`` (n, 5) to ``output`` (n, C, h, w)."""
    output.copy_(_roi_align(features, rois, **options))


def roi_align_backward(
    grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_features: Tensor, **options: Any
) -> None:
    """Writes the gradient of the features to ``grad_features``; pooling is linear, so any features will do."""
    with torch.enable_grad():
        features = torch.zeros_like(grad_features, requires_grad=True)
        pooled = _roi_align(features, rois, **options)
        grad_features.copy_(torch.autograd.grad(pooled, features, grad_output)[0])


def _roi_align(
    features: Tensor,
    rois: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> Tensor:
    if pool_mode == 0:
        raise NotImplementedError("torchvision's roi_align pools by the mean alone")
    size = (aligned_height, aligned_width)
    return torchvision.ops.roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned)


def __getattr__(name: str) -> Callable[..., None]:
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"mmcv's op {name}: mmcv-lite has no compiled ops")

    return missing
