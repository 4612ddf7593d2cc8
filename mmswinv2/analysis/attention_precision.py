"""Measures what half precision costs inside attention: on a CPU, by rounding where a GPU rounds.

Under autocast the linear layer gives out queries, keys and values in float16 or bfloat16. From there on there are
several ways. Each gives its output in the same half precision, and is compared with equation 2 in float64 on the same
q, k and v. A product of matrices takes half precision in and adds up in float32, as GPUs do.

- ``float32``: everything after the linear layer in float32, by :func:`mmswinv2.layers.cosine_attention_plain`.
- ``official``: what the released code does under autocast. q and k are normalised in float32 and rounded. Their product
  is rounded too: near 1, it is off by up to 2^-12 in float16, of which a scale of 100 makes 0.02. The scale, the
  addition of the bias and the softmax are in float32. The network of the bias runs in half precision, so that
  coordinates, weights, sums and the sigmoid are rounded. The weights are rounded before they meet v.
- ``official, best bias``: the same with a bias that is computed in float32 and rounded once. It tells how much of the
  official error is due to the network of the bias, which differs from model to model.
- ``half kernel``: a fused kernel with half-precision inputs. Normalised q times the scale, k, and the bias, which is
  computed in float32, are rounded. Logits and softmax stay in float32. exp(logit - largest) is rounded before it meets
  v, and the sum divides at the end. Rounding q after the scale is no worse than before it: a floating-point number is
  rounded in proportion to its size.
- ``half kernel, lowered bias``: the same, but before the bias is rounded, the largest of each row is taken from the
  row. A softmax does not notice. The bias of the keys that matter is then near 0, where numbers lie close together,
  and not near 8 or 16.
- ``half kernel, split``: with the lowered bias, and q and k each a sum of two half-precision numbers, q = q1 + q2.
  Three products, q1 k1 + q1 k2 + q2 k1, are one product of three times the channels.
- ``own kernel``: a kernel that takes the scale of each head and the bias in float32, which torch's does not. Only the
  normalised q and k, the weights and v are in half precision.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers import LogCPB, cosine_attention_plain
from ..layers.position_bias import BIAS_RANGE

WINDOWS = (8, 12, 16, 24, 32)
SCALES = (10.0, 30.0, 100.0)  # at the start of training, on the way, at the clamp
DTYPES = (torch.float16, torch.bfloat16)
TOKENS = 2048  # of all windows together
HEADS, CHANNELS = 4, 32  # every arch has 32 channels a head
CLUSTERS, SPREAD = 8, 0.05


class Inputs(NamedTuple):
    """What enters attention.

    Attributes:
        q, k, v: (n, heads, N, d), float32 that half precision can hold.
        scale: Factor of the cosine, the same for all heads.
        network: Network of the position bias.
        window: Side of the window in tokens; N is its square.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    scale: float
    network: LogCPB
    window: int


class Error(NamedTuple):
    """How far an output is from the exact one, in units of the exact one's root mean square."""

    rms: float
    largest: float


class Row(NamedTuple):
    """The error of each variant, by its name, for one kind of inputs."""

    dtype: torch.dtype
    kind: str
    window: int
    scale: float
    errors: dict[str, Error]


def random_directions(generator: torch.Generator, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Queries and keys that point anywhere: the cosines of 32 channels have a deviation of 0.18."""
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def clustered_directions(generator: torch.Generator, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Queries and keys around 8 directions, as of a trained model: cosines reach 1, and logits the scale.

    The 256 or so keys near a query differ little, and by how much is what the scale makes visible.
    """
    n, heads, tokens, channels = shape
    centres = F.normalize(torch.randn(n, heads, CLUSTERS, channels, generator=generator), dim=-1)

    def around() -> Tensor:
        cluster = torch.randint(CLUSTERS, (n, heads, tokens, 1), generator=generator).expand(shape)
        return centres.gather(2, cluster) + SPREAD * torch.randn(shape, generator=generator)

    return around(), around()


KINDS = {"initial": random_directions, "random": random_directions, "clustered": clustered_directions}


def make_inputs(kind: str, window: int, scale: float, dtype: torch.dtype) -> Inputs:
    """Makes the same inputs at every call; v is normally distributed.

    For ``initial`` the network of the bias is that of a new model, whose values lie around 8. Else its weights are so
    large that the values fill the range from 0 to 16.
    """
    generator = torch.Generator().manual_seed(window)
    shape = (max(1, TOKENS // window**2), HEADS, window**2, CHANNELS)
    q, k = KINDS[kind](generator, shape)
    q, k, v = (rounded(x, dtype) for x in (q, k, torch.randn(shape, generator=generator)))
    network, deviations = LogCPB(HEADS), (0.02, 0.0, 0.02) if kind == "initial" else (1.0, 1.0, 0.15)
    with torch.no_grad():
        for parameter, deviation in zip(network.parameters(), deviations, strict=True):
            parameter.copy_(deviation * torch.randn(parameter.shape, generator=generator))
    return Inputs(q, k, v, scale, network, window)


def rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounds numbers to those that ``dtype`` has, and keeps them in the type of ``x``."""
    return x.to(dtype).to(x.dtype)


def bias(inputs: Inputs) -> Tensor:
    """The position bias as this project computes it, float32, (heads, N, N)."""
    window = (inputs.window, inputs.window)
    return inputs.network.bias(window, torch.tensor(window))


def exact(inputs: Inputs) -> Tensor:
    """Equation 2 in float64."""
    scale = torch.full((HEADS, 1, 1), math.log(inputs.scale), dtype=torch.float64)
    return cosine_attention_plain(inputs.q.double(), inputs.k.double(), inputs.v.double(), scale, bias(inputs))


def float32(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    """Only the output is rounded. Variants are told in words at the top."""
    scale = torch.full((HEADS, 1, 1), math.log(inputs.scale))
    return rounded(cosine_attention_plain(inputs.q, inputs.k, inputs.v, scale, bias(inputs)), dtype)


def official(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    """The released code under autocast to ``dtype``."""
    return _official(inputs, official_bias(inputs, dtype), dtype)


def official_best_bias(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    """The same with the bias rounded once."""
    return _official(inputs, rounded(bias(inputs), dtype), dtype)


def _official(inputs: Inputs, half_bias: Tensor, dtype: torch.dtype) -> Tensor:
    q, k = (rounded(F.normalize(x, dim=-1), dtype) for x in (inputs.q, inputs.k))
    logits = rounded(q @ k.mT, dtype) * inputs.scale + half_bias
    return rounded(rounded(logits.softmax(-1), dtype) @ inputs.v, dtype)


class _OfficialBias(LogCPB):
    """The network under autocast: its linear layers and the sigmoid give out half precision."""

    dtype: torch.dtype

    def evaluate(self, coordinates: Tensor) -> Tensor:
        first, offset, last = (rounded(parameter, self.dtype) for parameter in self.parameters())
        hidden = rounded(F.linear(rounded(coordinates, self.dtype), first, offset), self.dtype).relu()
        return BIAS_RANGE * rounded(rounded(F.linear(hidden, last), self.dtype).sigmoid(), self.dtype)


def official_bias(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    """The position bias as the released code computes it under autocast, (heads, N, N)."""
    network = _OfficialBias(HEADS)
    network.load_state_dict(inputs.network.state_dict())
    network.dtype = dtype
    window = (inputs.window, inputs.window)
    return network.bias(window, torch.tensor(window))


def half_kernel(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    """A fused kernel with half-precision inputs."""
    return _fused(_half_product(inputs, dtype) + rounded(bias(inputs), dtype), inputs.v, dtype)


def lowered_half_kernel(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    """The same with the largest bias of each row taken from the row."""
    return _fused(_half_product(inputs, dtype) + _lowered_bias(inputs, dtype), inputs.v, dtype)


def split_half_kernel(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    """The same with q and k in two parts."""
    q, k = F.normalize(inputs.q, dim=-1) * inputs.scale, F.normalize(inputs.k, dim=-1)
    (q1, q2), (k1, k2) = _split(q, dtype), _split(k, dtype)
    logits = torch.cat([q1, q1, q2], dim=-1) @ torch.cat([k1, k2, k1], dim=-1).mT
    return _fused(logits + _lowered_bias(inputs, dtype), inputs.v, dtype)


def own_kernel(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    """Scale and bias in float32 inside the kernel."""
    q, k = (rounded(F.normalize(x, dim=-1), dtype) for x in (inputs.q, inputs.k))
    return _fused(q @ k.mT * inputs.scale + bias(inputs), inputs.v, dtype)


def _half_product(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    q = rounded(F.normalize(inputs.q, dim=-1) * inputs.scale, dtype)
    return q @ rounded(F.normalize(inputs.k, dim=-1), dtype).mT


def _lowered_bias(inputs: Inputs, dtype: torch.dtype) -> Tensor:
    whole = bias(inputs)
    return rounded(whole - whole.amax(-1, keepdim=True), dtype)


def _split(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    first = rounded(x, dtype)
    return first, rounded(x - first, dtype)


def _fused(logits: Tensor, v: Tensor, dtype: torch.dtype) -> Tensor:
    weights = (logits - logits.amax(-1, keepdim=True)).exp()
    return rounded(rounded(weights, dtype) @ v / weights.sum(-1, keepdim=True), dtype)


VARIANTS: dict[str, Callable[[Inputs, torch.dtype], Tensor]] = {
    "float32": float32,
    "official": official,
    "official, best bias": official_best_bias,
    "half kernel": half_kernel,
    "half kernel, lowered bias": lowered_half_kernel,
    "half kernel, split": split_half_kernel,
    "own kernel": own_kernel,
}


def compare(output: Tensor, expected: Tensor) -> Error:
    """Returns the error of an output, both of the same shape."""
    unit, error = expected.square().mean().sqrt(), (output.double() - expected).abs()
    return Error(float(error.square().mean().sqrt() / unit), float(error.max() / unit))


@torch.no_grad()
def measure(windows: Sequence[int] = WINDOWS, scales: Sequence[float] = SCALES) -> Iterator[Row]:
    """Yields a row for every half precision, kind of inputs, window and scale."""
    for dtype in DTYPES:
        for kind in KINDS:
            for window in windows:
                for scale in scales:
                    inputs = make_inputs(kind, window, scale, dtype)
                    expected = exact(inputs)
                    errors = {name: compare(run(inputs, dtype), expected) for name, run in VARIANTS.items()}
                    yield Row(dtype, kind, window, scale, errors)


def report(rows: Sequence[Row]) -> str:
    """Writes rows as Markdown: for each half precision a table of errors, then how they compare with the official."""
    parts = []
    for dtype in dict.fromkeys(row.dtype for row in rows):
        of_dtype = [row for row in rows if row.dtype == dtype]
        lines = [
            f"| {_name(dtype)} | window | scale | {' | '.join(VARIANTS)} |",
            f"| --- {'| ---: ' * (2 + len(VARIANTS))}|",
        ]
        for row in of_dtype:
            cells = (f"{1000 * error.rms:.2f}, {1000 * error.largest:.1f}" for error in row.errors.values())
            lines.append(f"| {row.kind} | {row.window} | {row.scale:.0f} | {' | '.join(cells)} |")
        lines += [_worst(of_dtype, than) for than in ("official", "official, best bias")]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _worst(rows: Sequence[Row], than: str) -> str:
    """The line of the largest ratios between a variant's error and that of the variant ``than``."""
    cells = []
    for name in VARIANTS:
        ratios = [[one / other for one, other in zip(row.errors[name], row.errors[than], strict=True)] for row in rows]
        rms, largest = map(max, zip(*ratios, strict=True))
        cells.append(f"{rms:.2f}, {largest:.2f}")
    return f"| largest ratio to {than} | | | {' | '.join(cells)} |"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints the tables; ``--out FILE.md`` writes them too."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="attention_precision.py"
    )
    parser.add_argument("--out", metavar="FILE.md", type=Path, help="Markdown file to write the tables to")
    out: Path | None = parser.parse_args(arguments).out
    if out is not None and not out.parent.is_dir():
        parser.error(f"--out {out}: there is no folder {out.parent}")
    tables = report(list(measure()))
    print(tables)
    if out is not None:
        out.write_text(f"{tables}\n")
