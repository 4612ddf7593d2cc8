"""Peak memory is what the step took for itself."""

import sys

import pytest
import torch
from torch import Tensor

from mmswinv2.benchmark.memory import peak_memory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
def test_peak_of_a_step() -> None:
    """What is freed within the step counts, and what stood before it does not."""
    before = torch.ones(40 * 2**18)  # 40 MiB

    def step() -> Tensor:
        first = torch.ones(64 * 2**18)  # 64 MiB, given back before the next ones
        first = first.sum()
        return first + torch.ones(32 * 2**18).sum()

    # The second time must not find the memory of the first one still held. On a machine short of memory, pages of the
    # process that the system took away may come back during a step, and count.
    peaks = [peak_memory(step, "cpu") for _ in range(4)]
    assert all(peak is not None and peak > 60 for peak in peaks) and min(peaks) < 80
    assert before.sum() == len(before)
