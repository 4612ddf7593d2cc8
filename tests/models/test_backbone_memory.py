"""Memory of a training step grows with the image alone, so that 1536 pixels fit where the documents say so."""

import subprocess
import sys

import pytest
import torch

from mmswinv2 import SwinTransformerV2

from ..support import ROOT
from .small_backbone import SMALL, loss_of, make

SCRIPT = """
import sys
import torch
from mmswinv2 import SwinTransformerV2
from mmswinv2.benchmark.memory import peak_memory

model = SwinTransformerV2("tiny", window_size=int(sys.argv[1]), with_cp=sys.argv[2] == "True").train()
def step(side):
    sum(level.square().mean() for level in model(torch.randn(1, 3, side, side))).backward()
step(64)  # gradients, and what torch sets up once
print(*(peak_memory(lambda: step(side), "cpu") for side in (256, 512)))
"""
PIXELS = 512**2 - 256**2
LIMIT = 12 * 1024  # MiB, of a machine
FIXED = 1700  # MiB: torch, B, gradients and AdamW; the line through the figures of B in BENCHMARKS.md begins at 1610


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
@pytest.mark.full
@pytest.mark.parametrize(("window", "with_cp"), [(8, False), (8, True), (32, True)])
def test_a_step_at_1536_pixels_fits_into_12_gib(window: int, with_cp: bool) -> None:
    """By the growth from 256 to 512 pixels; that of B is 4/3 of it for its width, times 2 for its depth at the most."""
    arguments = [sys.executable, "-c", SCRIPT, str(window), str(with_cp)]
    run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    small, large = map(float, run.stdout.split())
    growth = (large - small) * 1536**2 / PIXELS
    assert 0 < growth < LIMIT - FIXED
    if with_cp:
        assert growth * 4 / 3 * 2 < LIMIT - FIXED


def test_a_count_recomputes_the_first_blocks_of_each_stage() -> None:
    """Each of them runs twice in a step, the others once, and the gradients stay."""
    arch = {**SMALL, "depths": [2, 2, 4, 2]}
    runs: dict[str, int] = {}
    gradients = []
    image = torch.randn(1, 3, 50, 64)
    state = make(arch=arch, drop_path_rate=0.0).state_dict()
    expected = [(False, [0, 0, 0, 0]), (True, [2, 2, 4, 2]), (1, [1, 1, 1, 1]), (3, [2, 2, 3, 2]), ([2, 0, 3, 1],) * 2]
    for with_cp, counts in expected:
        model = SwinTransformerV2(arch, window_size=4, drop_path_rate=0.0, with_cp=with_cp)
        model.load_state_dict(state)
        runs.clear()
        for name, module in model.named_modules():
            if name.endswith(".attn"):
                module.register_forward_pre_hook(lambda *_, name=name: runs.update({name: runs.get(name, 0) + 1}))
        loss_of(model(image)).backward()
        for stage, (count, depth) in enumerate(zip(counts, arch["depths"], strict=True)):
            times = [runs[f"layers.{stage}.blocks.{block}.attn"] for block in range(depth)]
            assert times == [2] * count + [1] * (depth - count)
        gradients.append([parameter.grad for parameter in model.parameters()])
    for other in gradients[1:]:
        for one, two in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(one, two, atol=1e-5 * max(1.0, one.abs().max().item()), rtol=1e-5)


@pytest.mark.parametrize(
    ("with_cp", "message"),
    [
        (7, "a count of blocks is from 0 to 6"),
        (-1, "a count of blocks is from 0 to 6"),
        ([2, 2, 6], "has 3 counts for 4 stages"),
        ([2, 3, 6, 2], "the count of stage 1 is from 0 to its 2 blocks"),
        ([2, 2, -1, 2], "the count of stage 2 is from 0 to its 6 blocks"),
        ("all", "a bool, a count of blocks, or a count per stage, got 'all'"),
        (1.5, "a bool, a count of blocks, or a count per stage, got 1.5"),
        ([True, 2, 6, 2], "a bool, a count of blocks, or a count per stage"),
        (None, "a bool, a count of blocks, or a count per stage, got None"),
    ],
)
def test_counts_that_no_model_has_are_refused(with_cp: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SwinTransformerV2("tiny", with_cp=with_cp)
