"""The machine: what it is, what is installed on it, and how fast it multiplies matrices."""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import __version__
from ..layers.linear import linear
from .cases import Case

# Distributions, the first that is installed counts: OpenMMLab's packages have two names each.
DISTRIBUTIONS = {
    "torch": ("torch",),
    "timm": ("timm",),
    "transformers": ("transformers",),
    "torchvision": ("torchvision",),
    "mmpretrain": ("onedl-mmpretrain", "mmpretrain"),
    "mmengine": ("onedl-mmengine", "mmengine"),
    "mmdet": ("onedl-mmdetection", "mmdet"),
    "mmseg": ("onedl-mmsegmentation", "mmsegmentation"),
}
VECTOR_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
ROWS, CHANNELS = 8192, 1024  # of the matrix product: large enough that nothing but the product counts
PRODUCTS = 3  # in a turn


def describe_machine(device: str, threads: int | None) -> dict[str, object]:
    """Returns what a reader needs to know of the machine."""
    facts: dict[str, object] = {
        "processor": _cpu_info("model name") or platform.processor() or platform.machine(),
        "vector units": " ".join(flag for flag in VECTOR_FLAGS if flag in _cpu_info("flags").split()) or "unknown",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads or torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
    if hasattr(os, "sysconf"):
        facts["memory"] = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    if device == "cuda":
        facts["GPU"] = torch.cuda.get_device_name()
    return facts


def installed_versions() -> dict[str, str]:
    """Returns the version of this package and of each one of :data:`DISTRIBUTIONS` that is installed."""
    found = {"mmswinv2": __version__}
    for package, names in DISTRIBUTIONS.items():
        for name in names:
            try:
                found.setdefault(package, version(name))
            except PackageNotFoundError:
                continue
    return found


def synchronize(device: str) -> None:
    """Waits until a GPU has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


class MatrixRate:
    """Takes a turn like a contender: measures how fast the machine multiplies large matrices.

    Of the two ways that torch has, its own linear layer and that of :mod:`mmswinv2.layers.linear`, the faster counts.
    """

    def __init__(self, case: Case) -> None:
        self.device = case.device
        dtype = getattr(torch, case.dtype)
        self.x = torch.randn(ROWS, CHANNELS, device=case.device, dtype=dtype)
        self.weight = torch.randn(CHANNELS, CHANNELS, device=case.device, dtype=dtype)

    def warm_up(self) -> None:
        """Multiplies once each way."""
        for function in (F.linear, linear):
            function(self.x, self.weight, None)

    def turn(self) -> float:
        """Returns 10^9 operations a second."""
        return max(self._rate(F.linear), self._rate(linear))

    def _rate(self, function: Callable[..., Tensor]) -> float:
        synchronize(self.device)
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            function(self.x, self.weight, None)
        synchronize(self.device)
        return PRODUCTS * 2 * ROWS * CHANNELS**2 / (time.perf_counter() - start) / 1e9


def _cpu_info(name: str) -> str:
    """The first line of a name in /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")
