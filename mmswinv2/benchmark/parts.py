"""The parts of SwinV2 alone, counted from shapes: linear layers, attention kernel calls, norms and GELU.

Their times at the shapes of a model, added up, say how fast it could be if nothing came between them. Their matrix
products give its floating point operations.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers import WindowGrid
from ..layers.block import MLP_RATIO
from ..layers.linear import linear
from .cases import Case
from .machine import synchronize

PATCH = 4  # side in pixels
LEAST_SECONDS = 0.02  # that a part is repeated for


class Part(NamedTuple):
    """A call of one kernel.

    Attributes:
        kind: ``linear``, ``attention``, ``norm`` or ``gelu``.
        shape: Of ``linear`` (tokens, inputs, outputs), of ``attention`` (windows, heads, tokens, channels), of the
            others (tokens, channels).
    """

    kind: str
    shape: tuple[int, ...]


def count_parts(case: Case) -> Counter[Part]:
    """Returns how often a forward pass of the backbone calls each part."""
    parts: Counter[Part] = Counter()
    height, width = (-(-side // PATCH) for side in case.size)
    dims = case.arch.stage_dims
    tokens = case.batch * height * width
    parts[Part("linear", (tokens, 3 * PATCH**2, dims[0]))] += 1
    parts[Part("norm", (tokens, dims[0]))] += 1
    for stage, channels in enumerate(dims):
        if stage:
            height, width = -(-height // 2), -(-width // 2)
            tokens = case.batch * height * width
            parts[Part("linear", (tokens, 2 * channels, channels))] += 1  # the merging: 4 neighbours of half as many
            parts[Part("norm", (tokens, channels))] += 1
        for index in range(case.arch.depths[stage]):
            shift = case.window // 2 if index % 2 else 0
            grid = WindowGrid(case.batch, (height, width), (case.window,) * 2, (shift, shift))
            parts += _block_parts(grid, channels, case.arch.num_heads[stage])
        parts[Part("norm", (tokens, channels))] += 1  # of the output
    return parts


def _block_parts(grid: WindowGrid, channels: int, heads: int) -> Counter[Part]:
    tokens, hidden = grid.batch * grid.size[0] * grid.size[1], MLP_RATIO * channels
    calls = [
        Part("linear", (tokens, channels, 3 * channels)),
        Part("linear", (tokens, channels, channels)),
        Part("linear", (tokens, channels, hidden)),
        Part("linear", (tokens, hidden, channels)),
        Part("gelu", (tokens, hidden)),
        *[Part("norm", (tokens, channels))] * 2,
    ]
    for number, (height, width) in grid.cells:
        calls.append(Part("attention", (number, heads, height * width, channels // heads)))
    return Counter(calls)


def gigaflops(parts: Counter[Part], kind: str, trains: bool) -> float:
    """Returns the floating point operations of all matrix products of a kind, in 10^9.

    A multiplication and an addition are two. A backward pass has two products for each one of the forward pass.
    """
    total = 0
    for part, number in parts.items():
        if part.kind == kind == "linear":
            tokens, inputs, outputs = part.shape
            total += number * 2 * tokens * inputs * outputs
        elif part.kind == kind == "attention":
            windows, heads, tokens, channels = part.shape
            total += number * 4 * windows * heads * tokens**2 * channels
    return total * (3 if trains else 1) / 1e9


class PartsAlone:
    """Takes a turn like a contender: times each part by itself and adds up."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.parts = count_parts(case)

    def warm_up(self) -> None:
        """Runs everything once."""
        self.turn()

    def turn(self) -> float:
        """Returns the seconds of all parts together."""
        return sum(number * self._seconds(part) for part, number in self.parts.items())

    def _seconds(self, part: Part) -> float:
        call = make_call(part, self.case)
        call()
        repeats, seconds = 0, 0.0
        while seconds < LEAST_SECONDS:
            synchronize(self.case.device)
            start = time.perf_counter()
            call()
            synchronize(self.case.device)
            seconds += time.perf_counter() - start
            repeats += 1
        return seconds / repeats


def make_call(part: Part, case: Case) -> Callable[[], object]:
    """Returns the call of a part, with its backward pass where the case trains."""

    def noise(*shape: int) -> Tensor:
        made = torch.randn(shape, device=case.device, dtype=getattr(torch, case.dtype))
        return made.requires_grad_(case.trains)

    function: Callable[..., Tensor]
    if part.kind == "linear":
        tokens, inputs, outputs = part.shape
        function, arguments = linear, [noise(tokens, inputs), noise(outputs, inputs), noise(outputs)]
    elif part.kind == "attention":
        heads, tokens = part.shape[1:3]
        # Of the bias no gradient is asked: torch's fused kernel has none.
        bias = noise(1, heads, tokens, tokens).detach()
        function, arguments = _attend, [*(noise(*part.shape) for _ in range(3)), bias]
    elif part.kind == "norm":
        channels = part.shape[1]
        function, arguments = _norm, [noise(*part.shape), noise(channels), noise(channels)]
    else:
        function, arguments = _gelu, [noise(*part.shape)]
    if not case.trains:
        return lambda: function(*arguments)
    learned = [argument for argument in arguments if argument.requires_grad]
    gradient = torch.ones_like(function(*arguments))
    return lambda: torch.autograd.grad(function(*arguments), learned, gradient)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, bias, scale=1.0)


def _norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, weight.shape, weight, bias)


def _gelu(x: Tensor) -> Tensor:
    return F.gelu(x)
