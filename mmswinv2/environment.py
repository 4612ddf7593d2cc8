"""Do the installed packages work together? ``mmswinv2 doctor`` prints what this finds.

The ways in which they do not are few and common, and elsewhere they surface as long tracebacks.
"""

import os
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

import torch

from .errors import EnvironmentProblem

INSTALL_OPENMMLAB = "pip install 'mmswinv2[onedl]', or run `make setup`"
REBUILD_MMCV = (
    "with g++ installed: pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation "
    "onedl-mmcv==2.3.6 (mmcv==2.1.0 beside upstream's packages)"
)
PAIR_TORCHVISION = "install a matching pair: pip install torch===2.13.0 torchvision==0.28.0"
PACKAGES = ("torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmseg", "timm", "PIL")
FIRST_SAFE_TORCH = (2, 6)
FIRST_TOO_NEW_TORCH = (2, 14)


def check_environment() -> None:
    """Raises :class:`EnvironmentProblem` if the OpenMMLab packages cannot work here."""
    faults = list(find_faults())
    if faults:
        raise EnvironmentProblem("\n".join(faults))


def find_faults() -> Iterator[str]:
    """Yields one sentence for each fault, cheapest checks first."""
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
        fault = import_fault("mmcv._ext")
        if fault:
            yield f"mmcv has no working compiled ops ({fault}); {REBUILD_MMCV}"
    if find_spec("torchvision") is not None:
        fault = import_fault("torchvision")
        if fault:
            yield f"torchvision does not fit torch {torch.__version__} ({fault}); {PAIR_TORCHVISION}"


def find_further_faults() -> Iterator[str]:
    """The same of packages that only some runs need, to ask where :func:`find_faults` finds none."""
    for name in ("mmdet", "mmseg"):
        if find_spec(name) is not None and import_fault(name):
            yield f"{name} does not import ({import_fault(name)}); install versions that fit: {INSTALL_OPENMMLAB}"
    if find_spec("timm") is not None and find_spec("PIL") is not None and int(version("pillow").split(".")[0]) >= 13:
        yield f"timm's augmentations fail now and then with Pillow {version('pillow')}: pip install 'pillow<13'"


def torch_version() -> tuple[int, int]:
    """(major, minor) of the installed torch."""
    major, minor = re.match(r"(\d+)\.(\d+)", torch.__version__).groups()
    return int(major), int(minor)


def import_fault(module: str) -> str | None:
    """First line of what importing ``module`` raises, None if it imports."""
    try:
        import_module(module)
    except Exception as error:  # a broken binary raises anything: ImportError, OSError, RuntimeError
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None


def package_state(package: str) -> str:
    """Version of ``package``, or why there is none."""
    if find_spec(package) is None:
        return "not installed"
    fault = import_fault(package)
    return f"broken: {fault}" if fault else import_module(package).__version__


def versions() -> dict[str, str]:
    """Version of each package that matters, or why there is none."""
    return {name: package_state(name) for name in PACKAGES}


def devices() -> dict[str, str]:
    """What the machine computes with: each device, and the number types that it is fast in."""
    cpu = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    found = {"cpu": cpu}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bfloat16 = "bfloat16 and float16" if torch.cuda.is_bf16_supported() else "float16"
        found[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bfloat16}"
    return found
