"""Checks that the installed packages work together; ``python -m mmswinv2.environment`` prints them.

The ways in which they do not are few and common, and elsewhere they surface as long tracebacks.
"""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

import torch

INSTALL_OPENMMLAB = "pip install 'mmswinv2[onedl]', or run `make setup`"
REBUILD_MMCV = (
    "with g++ installed: pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation "
    "onedl-mmcv==2.3.6 (mmcv==2.1.0 beside upstream's packages)"
)
PAIR_TORCHVISION = "install a matching pair: pip install torch===2.13.0 torchvision==0.28.0"
FIRST_SAFE_TORCH = (2, 6)
FIRST_TOO_NEW_TORCH = (2, 14)


class BrokenEnvironmentError(RuntimeError):
    """Installed packages do not work together; a line for each fault, with its mend."""


def check_environment() -> None:
    """Raises :class:`BrokenEnvironmentError` if the OpenMMLab packages cannot work here."""
    faults = list(find_faults())
    if faults:
        raise BrokenEnvironmentError("\n".join(faults))


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


def main() -> int:
    """Prints versions, then the faults; returns the exit status."""
    states = {name: package_state(name) for name in ("torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmseg")}
    for name, state in states.items():
        print(f"{name:12} {state}")
    # mmdet and mmseg break with what they stand on; with that sound, the fault is their own.
    faults = list(find_faults()) or [
        f"{name} does not import; install versions that belong together: {INSTALL_OPENMMLAB}"
        for name in ("mmdet", "mmseg")
        if states[name].startswith("broken")
    ]
    print("\n".join(faults) if faults else "the packages work together")
    return len(faults) > 0


if __name__ == "__main__":
    sys.exit(main())
