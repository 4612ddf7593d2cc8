"""Peak memory of a step over what stood before it."""

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import torch

MIB = 2**20
# In the environment of a process whose memory is measured: what is freed goes back to the system at once. glibc would
# keep it, in pieces that fit nothing.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def peak_memory(step: Callable[[], object], device: str) -> float | None:
    """Runs a step and returns by how many MiB memory grew at its peak; None where the system does not tell.

    On a GPU this is what PyTorch's tensors took. On a CPU it is physical memory of the whole process. Linux keeps the
    highest value that was ever reached, VmHWM, and sets it back to the present value when a 5 is written to clear_refs.
    Before that, memory that is free but still held for later goes back to the system (malloc_trim): a step that merely
    took it again would seem to need none.
    """
    gc.collect()
    return _cuda_peak(step) if device == "cuda" else _linux_peak(step)


def _cuda_peak(step: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / MIB


def _linux_peak(step: Callable[[], object]) -> float | None:
    if sys.platform != "linux":
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
    if trim is not None:
        trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status_mib("VmRSS")
        step()
        return _status_mib("VmHWM") - before
    except (OSError, KeyError):  # a sandbox may have no such files, or no such lines
        return None


def _status_mib(name: str) -> float:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) for line in lines if line[0].startswith("Vm")}[name] / 1024
