"""The multiply-adds are those of the paper, but for four named differences, and those of a real forward pass."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmswinv2 import SwinTransformerV2
from mmswinv2.analysis.flops import backbone_costs, child_costs, count_flops, total
from mmswinv2.arch import ARCHS, Arch

SMALL = Arch(16, (2, 3), (1, 2))
# README of github.com/microsoft/Swin-Transformer: arch, side in pixels, window, GFLOPs.
PUBLISHED = [
    ("tiny", 256, 8, 5.9),
    ("small", 256, 8, 11.5),
    ("base", 256, 8, 20.3),
    ("tiny", 256, 16, 6.6),
    ("small", 256, 16, 12.6),
    ("base", 256, 16, 21.8),
    ("base", 384, 24, 54.7),
    ("large", 256, 16, 47.5),
    ("large", 384, 24, 115.4),
]


def build(arch: Arch, window: object) -> SwinTransformerV2:
    with torch.device("meta"):
        return SwinTransformerV2(arch._asdict(), window_size=window, out_indices=tuple(range(len(arch.depths))))


def count(arch: Arch, window: object, height: int, width: int) -> dict[str, int]:
    """Multiply-adds by part."""
    model = build(arch, window)
    counts = count_flops(model, torch.zeros(1, 3, height, width, device="meta"))
    return {part: cost.flops for part, cost in backbone_costs(model, counts).items()}


def official(arch: Arch, side: int, window: int) -> dict[str, int]:
    """The formulas of ``flops()`` in the official ``models/swin_transformer_v2.py``, by the terms that they add up."""
    side //= 4
    terms = {"patches": side**2 * arch.embed_dims * 3 * 16, "norms": side**2 * arch.embed_dims}
    terms |= dict.fromkeys(("linear", "attention", "mlp", "merging"), 0)
    for stage, (dims, depth) in enumerate(zip(arch.stage_dims, arch.depths, strict=True)):
        tokens, in_window = side**2, min(side, window) ** 2  # the window shrinks to the map
        terms["linear"] += depth * tokens * 4 * dims**2
        terms["attention"] += depth * tokens * 2 * in_window * dims
        terms["mlp"] += depth * tokens * 8 * dims**2
        terms["norms"] += depth * 2 * tokens * dims
        if stage < len(arch.depths) - 1:
            terms["merging"] += (side // 2) ** 2 * 8 * dims**2
            terms["norms"] += tokens * dims // 2
            side //= 2
    # The last norm: the release divides the tokens of the first map by 2^stages where 4^(stages - 1) would be right.
    terms["norms"] += arch.stage_dims[-1] * (side * 8) ** 2 // 16
    terms["head"] = arch.stage_dims[-1] * 1000
    return terms


def pairs(length: int, window: int, shift: int) -> int:
    """How many ordered pairs of tokens on an axis share a window, one by one."""
    if length <= window:
        return length**2
    place = [(token - shift) // window for token in range(length)]
    return sum(one == other for one in place for other in place)


def pairs_by_block(window: int, side: int, depth: int) -> int:
    return sum(pairs(side, window, window // 2 if block % 2 else 0) ** 2 for block in range(depth))


@pytest.mark.parametrize(("name", "side", "window", "published"), PUBLISHED)
def test_published_figures(name: str, side: int, window: int, published: float) -> None:
    """The paper's formulas give them to the digit. We come within 1 %, and the difference is what the module says."""
    arch = ARCHS[name]
    terms, ours = official(arch, side, window), count(arch, window, side, side)
    assert round(sum(terms.values()) / 1e9, 1) == published
    assert sum(ours.values()) / 1e9 == pytest.approx(published, rel=0.01)

    assert ours["patch embedding"] == terms["patches"]
    assert ours["q, k, v and projection"] == terms["linear"]
    assert ours["MLP"] == terms["mlp"]
    assert ours["patch merging"] == terms["merging"]
    sides = [side // 4 // 2**stage for stage in range(4)]
    inside = [pairs_by_block(window, *of_stage) for of_stage in zip(sides, arch.depths, strict=True)]
    expected = sum(2 * dims * number for dims, number in zip(arch.stage_dims, inside, strict=True))
    assert ours["attention"] == expected <= terms["attention"]
    offsets = [(2 * min(window, one) - 1) ** 2 for one in sides]
    assert ours["position bias network"] == sum(
        depth * number * 512 * (2 + heads)
        for depth, number, heads in zip(arch.depths, offsets, arch.num_heads, strict=True)
    )


def test_large_of_22k_pretraining() -> None:
    """At 192 px and window 12, for which nothing is published: the release's formulas give 26.0 G."""
    arch = ARCHS["large"]
    assert sum(official(arch, 192, 12).values()) / 1e9 == pytest.approx(25.96, abs=0.005)
    assert sum(count(arch, 12, 192, 192).values()) / 1e9 == pytest.approx(26.04, abs=0.005)


@pytest.mark.parametrize(("height", "width", "window"), [(75, 131, ((3, 5), (4, 2))), (1, 1, 8), (90, 33, (7, 2))])
def test_any_size_and_window(height: int, width: int, window: object) -> None:
    """Of tokens that there are, none of padding; incomplete patches and neighbourhoods are filled."""
    model, found = build(SMALL, window), count(SMALL, window, height, width)
    tokens, attention, linear = [], 0, 0
    for stage, (h, w) in enumerate(model.window_sizes):
        rows, columns = (-(-length // (4 * 2**stage)) for length in (height, width))
        dims, depth = SMALL.stage_dims[stage], SMALL.depths[stage]
        tokens.append(rows * columns)
        for block in range(depth):
            shift_h, shift_w = (h // 2, w // 2) if block % 2 else (0, 0)
            attention += 2 * dims * pairs(rows, h, shift_h) * pairs(columns, w, shift_w)
        linear += depth * tokens[-1] * dims**2
    assert found["attention"] == attention
    assert found["q, k, v and projection"] == 4 * linear
    assert found["MLP"] == 8 * linear
    assert found["patch embedding"] == tokens[0] * 48 * 16
    assert found["patch merging"] == tokens[1] * 8 * 16**2


@pytest.mark.parametrize("training", [True, False])
def test_a_real_forward_pass_counts_the_same(training: bool) -> None:
    """On values, by torch's unfused kernel: the counter does not see the fused one of a CPU."""
    model, image = SwinTransformerV2(SMALL._asdict(), window_size=8, out_indices=(0, 1)), torch.randn(1, 3, 100, 70)
    with torch.set_grad_enabled(training), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(image)
    assert counter.get_total_flops() == 2 * sum(count(SMALL, 8, 100, 70).values())


def test_the_parts_are_the_whole() -> None:
    """Multiply-adds and parameters, each once; the extra norms of huge and giant among them."""
    model = build(Arch(16, (2, 6), (1, 2), extra_norm_period=6), 8)
    counts = count_flops(model, torch.zeros(1, 3, 64, 64, device="meta"))
    parts = backbone_costs(model, counts)
    assert sum(cost.flops for cost in parts.values()) == total(counts)
    assert sum(cost.parameters for cost in parts.values()) == sum(one.numel() for one in model.parameters())
    norms = 16 * 2 * (2 * 2 + 1) + 32 * 2 * (2 * 6 + 1 + 1)
    assert parts["norms"].parameters == norms


def test_members_are_the_whole_even_where_their_forward_is_not_called() -> None:
    """As MMSegmentation does with its heads: ``head.forward(x)`` passes by the counter's hooks."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.called, self.passed_by = nn.Linear(3, 5), nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 11, bias=False))
            self.unused = nn.ReLU()
            self.own = nn.Parameter(torch.zeros(11, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.passed_by.forward(self.called(x)) @ self.own

    with torch.device("meta"):
        model, x = Model(), torch.zeros(1, 3)
    assert child_costs(model, count_flops(model, x)) == {
        "called": (15, 20),
        "passed_by": (35 + 77, 42 + 77),
        "other": (22, 22),
    }
