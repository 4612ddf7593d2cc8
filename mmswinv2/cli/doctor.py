"""Says whether the installed packages and the device do their work, and how to mend what does not.

It prints versions, devices and number types, names what is known to fail together, and puts a small backbone to the
test on each device. That takes less than a minute.
"""

import argparse
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from ..environment import devices, find_faults, find_further_faults, versions
from ..errors import EnvironmentProblem, UserError

if TYPE_CHECKING:
    from ..models import SwinTransformerV2

SIZE = (1, 3, 75, 66)  # no multiple of a window
TOLERANCE = 1e-4  # between the fused kernel and the plain formula, in float32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There is nothing to choose."""


def run(args: argparse.Namespace) -> None:
    """Prints what is there, then tests it."""
    found = devices()
    for name, state in {**versions(), **found}.items():
        print(f"{name:12} {state}")
    faults = list(find_faults()) or list(find_further_faults())
    if faults:
        raise EnvironmentProblem("\n".join(faults))
    for device in found:
        for passed in check_device(torch.device(device)):
            print(f"{device:12} {passed}")
    print("the packages work together")


def check_device(device: torch.device) -> Iterator[str]:
    """Puts a small backbone to the test; yields a line for each test that it passes.

    Raises:
        EnvironmentProblem: Names the test that failed.
    """
    from ..models import SwinTransformerV2  # needs OpenMMLab's packages, which were looked at just before

    torch.manual_seed(0)
    arch = dict(embed_dims=32, depths=(2, 2), num_heads=(1, 2))
    backbone = SwinTransformerV2(arch, window_size=8, out_indices=(0, 1)).to(device)
    image = torch.randn(SIZE, device=device)
    tests = {
        "mmcv's compiled ops: RoIAlign and non-maximum suppression": lambda: try_ops(device),
        "the fused attention agrees with the plain formula": lambda: try_attention(device),
        "a training step leaves finite gradients": lambda: try_training(backbone, image),
        "mixed precision is finite": lambda: try_mixed_precision(backbone, image),
        "a checkpoint comes back as it was written": lambda: try_checkpoint(backbone),
    }
    for name, test in tests.items():
        try:
            test()
        except UserError:
            raise
        except Exception as error:  # a broken binary raises anything
            raise EnvironmentProblem(f"{device}: failed: {name} ({type(error).__name__}: {error})") from error
        yield name


def expect(condition: bool, what: str) -> None:
    """Raises :class:`EnvironmentProblem` unless ``condition`` holds."""
    if not condition:
        raise EnvironmentProblem(f"{what}: this build of torch computes wrongly on this device, install another")


def try_ops(device: torch.device) -> None:
    """Of two boxes that overlap by 0.9 one stays; the mean over a constant map is the constant."""
    from mmcv.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]], device=device)
    _, kept = nms(boxes, torch.tensor([0.9, 0.8], device=device), iou_threshold=0.5)
    expect(kept.tolist() == [0], "mmcv.ops.nms keeps the wrong boxes")
    rois = torch.tensor([[0.0, 0, 0, 8, 8]], device=device)
    pooled = roi_align(torch.full((1, 1, 16, 16), 3.0, device=device), rois, (2, 2), 1.0, 2, "avg", True)
    expect(bool((pooled == 3).all()), "mmcv.ops.roi_align is not the mean")


def try_attention(device: torch.device) -> None:
    """Equation 2 of the paper, in its two forms."""
    from ..layers import cosine_attention, cosine_attention_plain

    q, k, v = torch.randn(3, 4, 2, 64, 32, device=device)
    logit_scale, bias = torch.full((2, 1, 1), 4.0, device=device), 16 * torch.rand(2, 64, 64, device=device)
    difference = cosine_attention(q, k, v, logit_scale, bias) - cosine_attention_plain(q, k, v, logit_scale, bias)
    expect(difference.abs().max().item() < TOLERANCE, "the fused attention differs from the formula")


def try_training(backbone: "SwinTransformerV2", image: torch.Tensor) -> None:
    """Forward and backward."""
    backbone.train()
    sum(level.square().mean() for level in backbone(image)).backward()
    gradients = [parameter.grad for parameter in backbone.parameters() if parameter.grad is not None]
    expect(all(bool(gradient.isfinite().all()) for gradient in gradients), "gradients are not finite")


def try_mixed_precision(backbone: "SwinTransformerV2", image: torch.Tensor) -> None:
    """A forward pass under autocast."""
    backbone.eval()
    with torch.no_grad(), torch.autocast(image.device.type, dtype=torch.bfloat16):
        levels = backbone(image)
    expect(all(bool(level.isfinite().all()) for level in levels), "bfloat16 features are not finite")


def try_checkpoint(backbone: "SwinTransformerV2") -> None:
    """Written by torch, read by this project's safe reader."""
    from ..checkpoint import read_checkpoint

    with TemporaryDirectory() as folder:
        torch.save({"state_dict": backbone.state_dict()}, f"{folder}/a.pth")
        content = read_checkpoint(f"{folder}/a.pth").content["state_dict"]
    same = (torch.equal(tensor.cpu(), content[name]) for name, tensor in backbone.state_dict().items())
    expect(all(same), "a checkpoint differs from what was written")
