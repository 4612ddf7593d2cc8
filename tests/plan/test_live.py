"""What lives at the same time in a step, counted tensor by tensor."""

import torch
from torch import nn

from mmswinv2.plan.live import LiveMemory

KIB = 1024


def test_what_lives_at_the_same_time_counts_and_views_do_not() -> None:
    """A peak is of one moment: what went before is not part of it."""
    with LiveMemory(nn.Module()) as memory:
        first = torch.ones(3 * KIB)  # 12 KiB
        view = first[: 2 * KIB].view(2, KIB)
        del first, view
        second = torch.ones(2 * KIB)  # 8 KiB
        assert memory.live == 8 * KIB
    assert memory.peak == 12 * KIB
    assert second.sum() == 2 * KIB


def test_kinds_of_memory_are_told_apart() -> None:
    """Gradients of parameters, their casts under autocast, and all else; parameters themselves stood before."""
    layer = nn.Linear(64, 32, bias=False)
    weight = 64 * 32 * 4  # bytes
    given = torch.ones(8, 64, requires_grad=True)  # its gradient takes the weight's cast, so that is kept
    with LiveMemory(layer, [given]) as memory:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = layer(given)
        assert memory.now.casts == weight / 2
        assert memory.now.gradients == 0
        out.float().sum().backward()
        del out
        assert memory.now == (weight, 0, given.nbytes)  # the gradient of what was given


def test_what_an_operator_takes_for_itself_is_part_of_the_peak() -> None:
    inner = {torch.ops.aten.mm.default: lambda one, other: 100 * one.size(0)}
    with LiveMemory(nn.Module(), inner=inner) as memory:
        square = torch.ones(4, 4)
        product = square @ square
    assert memory.peak == 2 * square.nbytes + 400
    assert memory.live == square.nbytes + product.nbytes
