"""The parts that are counted from shapes are those that the model really calls."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmswinv2.benchmark.cases import Case
from mmswinv2.benchmark.contenders import build, plain_attention
from mmswinv2.benchmark.parts import Part, PartsAlone, count_parts, gigaflops, make_call
from mmswinv2.benchmark.steps import seeded_images
from mmswinv2.layers import attention

from .small import CASE

ATEN = torch.ops.aten


def bias_operations(case: Case) -> int:
    """Of the networks of the position bias, which depend on the window alone and are no part."""
    total = 0
    for stage, (depth, heads) in enumerate(zip(case.arch.depths, case.arch.num_heads, strict=True)):
        h, w = (min(case.window, side // 4 // 2**stage) for side in case.size)
        total += depth * 2 * (2 * h - 1) * (2 * w - 1) * (2 * 512 + 512 * heads)
    return total


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_operations_are_those_that_torch_counts(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "cosine_attention", plain_attention)  # torch counts no operation of the fused kernel
    case = CASE._replace(size=size, batch=2)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        build("mmswinv2", case)(seeded_images(case))
    counted = counter.get_flop_counts()["Global"]
    parts = count_parts(case)
    linear = sum(counted.get(operation, 0) for operation in (ATEN.mm, ATEN.addmm, ATEN.convolution))
    assert round(gigaflops(parts, "linear", trains=False) * 1e9) == linear - bias_operations(case)
    assert round(gigaflops(parts, "attention", trains=False) * 1e9) == counted[ATEN.bmm]


def test_backward_has_two_products_for_each_of_the_forward() -> None:
    parts = count_parts(CASE)
    assert gigaflops(parts, "linear", trains=True) == pytest.approx(3 * gigaflops(parts, "linear", trains=False))


@pytest.mark.parametrize("mode", ["inference", "train"])
def test_every_part_can_be_called(mode: str) -> None:
    case = CASE._replace(mode=mode)
    for part in count_parts(case):
        make_call(part, case)()
    gradients = make_call(Part("linear", (4, 8, 16)), case)()
    assert (type(gradients) is tuple) == case.trains


def test_parts_take_time() -> None:
    small = CASE._replace(arch=CASE.arch._replace(depths=(1, 1, 1, 1)), size=(32, 32), window=2)
    assert PartsAlone(small).turn() > 0
