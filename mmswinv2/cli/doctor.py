"""Says whether the installed packages and the device do their work, and how to mend what does not.

It prints versions, devices and number types, and names what is known to fail together. Then it puts a small backbone
to the test on each device. That takes less than a minute. The ways in which packages do not fit are few and common.
Elsewhere they surface as long tracebacks, so every other command looks for them first.
"""

import argparse
import os
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from ..errors import EnvironmentProblem, UserError
from ..upstream import COMPILED_OPS

if TYPE_CHECKING:
    from ..models import SwinTransformerV2

INSTALL_OPENMMLAB = "pip install 'mmswinv2[onedl]', or run `make setup`"
REBUILD_MMCV = (
    "with g++ installed: pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation "
    "onedl-mmcv==2.3.6 (mmcv==2.1.0 beside upstream's packages)"
)
PAIR_TORCHVISION = "install a matching pair: pip install torch===2.13.0 torchvision==0.28.0"
PACKAGES = ("torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmseg", "timm", "PIL")
FIRST_SAFE_TORCH = (2, 6)
FIRST_TOO_NEW_TORCH = (2, 14)
SIZE = (1, 3, 75, 66)  # no multiple of a window
TOLERANCE = 1e-4  # between the fused kernel and the plain formula, in float32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: there is nothing to choose."""


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


def check_environment() -> None:
    """Raises :class:`EnvironmentProblem` if the OpenMMLab packages cannot work here."""
    faults = list(find_faults())
    if faults:
        raise EnvironmentProblem("\n".join(faults))


def find_faults() -> Iterator[str]:
    """Yields one sentence for each fault. The cheapest checks come first."""
    if torch_version() >= FIRST_TOO_NEW_TORCH:
        yield f"torch {torch.__version__} is too new for mmcv's compiled ops (they need < 2.14): {PAIR_TORCHVISION}"
        return  # what else fails follows from it, and rebuilding mmcv would not mend it
    if torch_version() < FIRST_SAFE_TORCH:
        yield (
            f"torch {torch.__version__} can be made to run code by a checkpoint (CVE-2025-32434), torch 2.6 and later "
            f"cannot: {PAIR_TORCHVISION}"
        )
    for package in ("mmengine", "mmcv"):
        if find_spec(package) is None:
            yield f"{package} is not installed: {INSTALL_OPENMMLAB}"
    if find_spec("mmcv") is not None:
        fault = import_fault(COMPILED_OPS)
        if fault:
            yield f"mmcv has no working compiled ops ({fault}); {REBUILD_MMCV}"
    if find_spec("torchvision") is not None:
        fault = import_fault("torchvision")
        if fault:
            yield f"torchvision does not fit torch {torch.__version__} ({fault}); {PAIR_TORCHVISION}"


def find_further_faults() -> Iterator[str]:
    """Yields the same for packages that only some runs need. :func:`find_faults` comes first and must find nothing."""
    for name in ("mmdet", "mmseg"):
        if find_spec(name) is not None and import_fault(name):
            yield f"{name} does not import ({import_fault(name)}); install versions that fit: {INSTALL_OPENMMLAB}"
    if find_spec("timm") is not None and find_spec("PIL") is not None and int(version("pillow").split(".")[0]) >= 13:
        yield f"timm's augmentations fail now and then with Pillow {version('pillow')}: pip install 'pillow<13'"


def torch_version() -> tuple[int, int]:
    """Returns (major, minor) of the installed torch."""
    major, minor, *_ = torch.__version__.split(".")
    return int(major), int(minor)


def import_fault(module: str) -> str | None:
    """Returns the first line of what importing ``module`` raises; None if it imports."""
    try:
        import_module(module)
    except Exception as error:  # a broken binary raises anything: ImportError, OSError, RuntimeError
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None


def package_state(package: str) -> str:
    """Returns the version of ``package``, or why there is none."""
    if find_spec(package) is None:
        return "not installed"
    fault = import_fault(package)
    return f"broken: {fault}" if fault else import_module(package).__version__


def versions() -> dict[str, str]:
    """Returns the version of each package that matters, or why there is none."""
    return {name: package_state(name) for name in PACKAGES}


def devices() -> dict[str, str]:
    """Describes each device of the machine, and the number types that it is fast in."""
    cpu = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    found = {"cpu": cpu}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bfloat16 = "bfloat16 and float16" if torch.cuda.is_bf16_supported() else "float16"
        found[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bfloat16}"
    return found


def check_device(device: torch.device) -> Iterator[str]:
    """Puts a small backbone to the test, and yields a line for each test that it passes.

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
    """Checks two ops: of boxes that overlap by 0.9 one stays, and the mean over a constant map is the constant."""
    from mmcv.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]], device=device)
    _, kept = nms(boxes, torch.tensor([0.9, 0.8], device=device), iou_threshold=0.5)
    expect(kept.tolist() == [0], "mmcv.ops.nms keeps the wrong boxes")
    rois = torch.tensor([[0.0, 0, 0, 8, 8]], device=device)
    pooled = roi_align(torch.full((1, 1, 16, 16), 3.0, device=device), rois, (2, 2), 1.0, 2, "avg", True)
    expect(bool((pooled == 3).all()), "mmcv.ops.roi_align is not the mean")


def try_attention(device: torch.device) -> None:
    """Compares the two forms of the paper's equation 2."""
    from ..layers import WindowGrid, cosine_attention, cosine_attention_plain

    qkv = torch.randn(4 * 64, 3, 2, 32, device=device)  # 4 windows of 64 tokens, 2 heads
    logit_scale, bias = torch.full((2, 1, 1), 4.0, device=device), 16 * torch.rand(2, 64, 64, device=device)
    fused = cosine_attention(qkv, logit_scale, bias, WindowGrid(4, (8, 8), (8, 8), (0, 0)))
    q, k, v = qkv.view(4, 64, 3, 2, 32).permute(2, 0, 3, 1, 4)
    plain = cosine_attention_plain(q, k, v, logit_scale, bias).transpose(1, 2).flatten(0, 1).flatten(1)
    expect((fused - plain).abs().max().item() < TOLERANCE, "the fused attention differs from the formula")


def try_training(backbone: "SwinTransformerV2", image: torch.Tensor) -> None:
    """Runs a forward and a backward pass."""
    backbone.train()
    sum(level.square().mean() for level in backbone(image)).backward()
    gradients = [parameter.grad for parameter in backbone.parameters() if parameter.grad is not None]
    expect(all(bool(gradient.isfinite().all()) for gradient in gradients), "gradients are not finite")


def try_mixed_precision(backbone: "SwinTransformerV2", image: torch.Tensor) -> None:
    """Runs a forward pass under autocast."""
    backbone.eval()
    with torch.no_grad(), torch.autocast(image.device.type, dtype=torch.bfloat16):
        levels = backbone(image)
    expect(all(bool(level.isfinite().all()) for level in levels), "bfloat16 features are not finite")


def try_checkpoint(backbone: "SwinTransformerV2") -> None:
    """Writes a checkpoint with torch, and reads it with this project's safe reader."""
    from ..checkpoint import read_checkpoint

    with TemporaryDirectory() as folder:
        torch.save({"state_dict": backbone.state_dict()}, f"{folder}/a.pth")
        content = read_checkpoint(f"{folder}/a.pth").content["state_dict"]
    same = (torch.equal(tensor.cpu(), content[name]) for name, tensor in backbone.state_dict().items())
    expect(all(same), "a checkpoint differs from what was written")
