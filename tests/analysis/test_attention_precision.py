"""The measured variants are what they are said to be, and half precision is no worse than the released code."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmswinv2.analysis import attention_precision as precision
from mmswinv2.analysis.attention_precision import DTYPES, KINDS, VARIANTS, Inputs, compare, exact, make_inputs, measure
from mmswinv2.layers import WindowGrid, cosine_attention

from ..support import ROOT

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
WINDOW = 6


def inputs(dtype: torch.dtype, kind: str = "clustered", scale: float = 100.0) -> Inputs:
    return make_inputs(kind, WINDOW, scale, dtype)


def real_official(given: Inputs, dtype: torch.dtype) -> Tensor:
    """The released code's lines, in tensors of ``dtype`` where autocast makes such of them."""
    q, k, v = (x.to(dtype) for x in (given.q, given.k, given.v))
    cosine = F.normalize(q.float(), dim=-1).to(dtype) @ F.normalize(k.float(), dim=-1).to(dtype).transpose(-2, -1)
    assert cosine.dtype == dtype
    first, _, last = (module.to(dtype) for module in given.network)
    window = (WINDOW, WINDOW)
    table = precision.LogCPB(precision.HEADS)
    table.evaluate = lambda coordinates: 16 * torch.sigmoid(last(F.relu(first(coordinates.to(dtype)))))
    bias = table.bias(window, torch.tensor(window))
    assert bias.dtype == dtype
    attention = (cosine * torch.tensor([given.scale]) + bias).softmax(-1)
    assert attention.dtype == torch.float32
    return (attention.to(dtype) @ v).float()


@each_dtype
@torch.no_grad()
def test_official_is_what_half_precision_tensors_give(dtype: torch.dtype) -> None:
    """The emulation is nearer to the real run than both are to the exact result."""
    real, expected = real_official(inputs(dtype), dtype), exact(inputs(dtype))
    emulated = precision.official(inputs(dtype), dtype)
    assert compare(emulated, real.double()).rms < 0.3 * compare(emulated, expected).rms
    assert compare(real, expected).rms == pytest.approx(compare(emulated, expected).rms, rel=0.1)


@each_dtype
@torch.no_grad()
def test_float32_is_what_the_layers_compute(dtype: torch.dtype) -> None:
    """On half-precision q, k, v, as under autocast: by the fused kernel, to one rounding of the output."""
    given = inputs(dtype)
    qkv = torch.stack([given.q, given.k, given.v]).permute(1, 3, 0, 2, 4).flatten(0, 1)  # (n * N, 3, heads, d)
    grid = WindowGrid(len(given.q), (WINDOW, WINDOW), (WINDOW, WINDOW), (0, 0))
    scale = torch.full((precision.HEADS, 1, 1), given.scale).log()
    out = cosine_attention(qkv.to(dtype), scale, precision.bias(given), grid)
    assert out.dtype == dtype
    real = out.float().view(len(given.q), WINDOW**2, precision.HEADS, -1).transpose(1, 2)
    # Logits up to 116 are spaced by 7.6e-6 in float32; two kernels may differ by a few of these steps.
    torch.testing.assert_close(precision.float32(given, dtype), real, rtol=2 * torch.finfo(dtype).eps, atol=5e-5)


@each_dtype
@torch.no_grad()
def test_a_half_kernel_is_what_a_real_one_gives(dtype: torch.dtype) -> None:
    """torch's fused kernel on a CPU, with q, k, v and the mask in half precision."""
    given = inputs(dtype)
    q, k = (F.normalize(x, dim=-1) for x in (given.q, given.k))
    mask = precision.bias(given)[None].to(dtype)
    real = F.scaled_dot_product_attention(
        *((q * given.scale).to(dtype), k.to(dtype), given.v.to(dtype)), attn_mask=mask, scale=1.0
    ).float()
    emulated, expected = precision.half_kernel(given, dtype), exact(given)
    assert compare(emulated, real.double()).rms < 0.5 * compare(emulated, expected).rms
    assert compare(real, expected).rms == pytest.approx(compare(emulated, expected).rms, rel=0.1)


@torch.no_grad()
def test_without_rounding_every_variant_is_exact() -> None:
    """In float32 nothing is rounded that float32 holds."""
    given = inputs(torch.float16, scale=30.0)
    for name, run in VARIANTS.items():
        assert compare(run(given, torch.float32), exact(given)).largest < 1e-4, name


def test_inputs_are_what_they_are_said_to_be() -> None:
    """Half precision holds them, the same at each call. Clustered cosines reach 1, a strong bias fills its range."""
    for kind in KINDS:
        one, other = (make_inputs(kind, 16, 30.0, torch.float16) for _ in range(2))
        for x, y in zip(one[:3], other[:3], strict=True):
            assert torch.equal(x, y) and torch.equal(x, x.half().float())
        cosine, bias = F.normalize(one.q, dim=-1) @ F.normalize(one.k, dim=-1).mT, precision.bias(one).detach()
        assert (cosine.amax(-1).median() > 0.9) == (kind == "clustered")
        assert (bias.amin() < 1 and bias.amax() > 15) == (kind != "initial")
        assert (bias.sub(8).abs().amax() < 1) == (kind == "initial")


def test_the_table_has_a_row_for_everything_and_the_lowered_bias_never_loses() -> None:
    rows = list(measure(windows=(4, 6), scales=(10.0, 100.0)))
    assert [row[:4] for row in rows] == [
        (dtype, kind, window, scale) for dtype in DTYPES for kind in KINDS for window in (4, 6) for scale in (10, 100)
    ]
    lines = precision.report(rows).splitlines()
    assert len([line for line in lines if re.match(r"\| (initial|random|clustered) \| [46] \| 100? \|", line)]) == 24
    assert len([line for line in lines if line.startswith("| largest ratio to official")]) == 4
    assert {line.count("|") for line in lines if line} == {len(VARIANTS) + 4}
    for row in rows:
        for than in ("official", "official, best bias"):
            assert row.errors["half kernel, lowered bias"].rms < row.errors[than].rms, row


def test_the_page_shows_what_the_command_prints() -> None:
    """At the smallest window; other machines may add up in another order."""
    page = (ROOT / "docs/precision.md").read_text()
    for row in measure(windows=(8,)):
        name = str(row.dtype).removeprefix("torch.")
        table = page[page.index(f"| {name} | window") :]
        (line,) = re.findall(
            rf"^\| {row.kind} \| 8 \| {row.scale:.0f} \| (.*) \|$", table.split("\n\n")[0], re.MULTILINE
        )
        shown = [float(cell.split(",")[0]) for cell in line.split(" | ")]
        assert shown == pytest.approx([1000 * error.rms for error in row.errors.values()], rel=0.05, abs=0.01)


def test_the_command_writes_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(measure(windows=(4,), scales=(10.0,)))
    monkeypatch.setattr(precision, "measure", lambda: iter(rows))
    precision.main(["--out", str(tmp_path / "tables.md")])
    assert capsys.readouterr().out == (tmp_path / "tables.md").read_text() == f"{precision.report(rows)}\n"
    with pytest.raises(SystemExit) as end:
        precision.main(["--out", str(tmp_path / "no/tables.md")])
    assert end.value.code == 2
    assert "there is no folder" in capsys.readouterr().err
