"""Attention that keeps no logits: torch's fused kernel forwards, and a backward pass that computes them anew.

torch's own kernel keeps all logits as soon as the bias learns, so memory would grow with the area of a window.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, library
from torch.nn import functional as F
from torch.utils.flop_counter import register_flop_formula

from .bias_cache import cell_bias
from .windows import Cells, GridPart, Pair, WindowGrid, runs_at_once

MAX_SDPA_BATCH = 65535  # CUDA kernels put the batch on a grid axis, which has this many places
MIN_NORM = 1e-12  # as in torch.nn.functional.normalize
CHUNK = 2**18  # logits that a backward pass holds at a time on a CPU: 1 MB, which a core's cache takes
DEVICE_CHUNK = 2**25  # the same on a GPU, which wants much to do at a time: 128 MB, not measured yet


def attend(qkv: Tensor, scale: Tensor, bias: Tensor, grid: WindowGrid | GridPart) -> Tensor:
    """softmax(cos(q, k) * scale + B) v inside each window, computed in float32, or float64 where that is given.

    Args:
        qkv: Queries, keys and values of all tokens in the order of ``grid``, (T, 3, heads, d).
        scale: 1 / tau, (heads,).
        bias: B of the window ``grid.fitted_window`` of N tokens, (heads, N, N).
        grid: How the maps are cut into windows, or some of the windows.

    Returns:
        (T, heads * d) in the dtype of ``qkv``.
    """
    if isinstance(grid, GridPart) or runs_at_once(qkv):
        return attend_forward(qkv, scale, bias, grid.cells, grid.fitted_window)
    out: Tensor = _attend(qkv, scale, bias, grid.numbers, grid.fitted_window)
    return out


def directions(qkv: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Takes (T, 3, heads, d) apart: q of the length ``scale``, k of the length 1, and v, each (T, heads, d)."""
    q, k = (qkv[:, :2] * (_inverse_lengths(qkv) * _factors(scale))).unbind(1)
    return q, k, qkv[:, 2]


def _inverse_lengths(qkv: Tensor) -> Tensor:
    """1 / length of q and k, (T, 2, heads, 1); a length below the least counts as that."""
    return torch.linalg.vector_norm(qkv[:, :2], dim=-1, keepdim=True).clamp(min=MIN_NORM).reciprocal()


def _factors(scale: Tensor) -> Tensor:
    """The lengths that q and k are given, (2, heads, 1)."""
    return torch.stack([scale, torch.ones_like(scale)]).unsqueeze(-1)


def full_precision(x: Tensor) -> torch.dtype:
    """float32, or float64 where ``x`` has it."""
    return torch.promote_types(x.dtype, torch.float32)


def attend_forward(qkv: Tensor, scale: Tensor, bias: Tensor, cells: Sequence[Cells], bias_window: Pair) -> Tensor:
    """Computes :func:`attend`, without a record for the backward pass."""
    q, k, v = directions(qkv.to(full_precision(qkv)), scale)
    kernel_dtype = qkv.dtype if _kernel_takes_half(qkv.device) else q.dtype
    if kernel_dtype != q.dtype:
        # A softmax does not notice a constant of a row. The bias reaches 16, where half precision is coarse; below 0 it
        # is finest where it counts. docs/precision.md has the errors: 0.6 of the released code's.
        bias = bias - bias.amax(-1, keepdim=True)
    q, k, v, bias = (x.to(kernel_dtype) for x in (q, k, v, bias))
    parts, start = [], 0
    for number, shape in cells:
        tokens = shape[0] * shape[1]
        mask = cell_bias(bias, bias_window, shape)[None]
        for first in range(0, number, MAX_SDPA_BATCH):
            n = min(MAX_SDPA_BATCH, number - first)
            stop = start + n * tokens
            # Three views (n, heads, tokens, d) of a slice: nothing is copied.
            one, other, third = (x[start:stop].view(n, tokens, *x.shape[1:]).transpose(1, 2) for x in (q, k, v))
            out = F.scaled_dot_product_attention(one, other, third, mask, scale=1.0)
            parts.append(out.transpose(1, 2).reshape(n * tokens, -1))
            start = stop
    # cat copies even a single part
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).to(qkv.dtype)


def _kernel_takes_half(device: torch.device) -> bool:
    """Whether half precision is left to the kernel: GPUs have faster units for it, CPUs do not gain by it here."""
    return device.type != "cpu"


# Operators of our own, each one node of a compiled graph, which is given sizes as numbers when it runs.
@library.custom_op("mmswinv2::attend", mutates_args=(), tags=(torch.Tag.flexible_layout,))
def _attend(qkv: Tensor, scale: Tensor, bias: Tensor, grid: Sequence[int], bias_window: Sequence[int]) -> Tensor:
    height, width = bias_window
    # Detached: a mask that says that it learns keeps the kernel from its fast path, though nothing is recorded here.
    return attend_forward(qkv.detach(), scale.detach(), bias.detach(), WindowGrid.of(grid).cells, (height, width))


@_attend.register_fake
def _(qkv: Tensor, scale: Tensor, bias: Tensor, grid: Sequence[int], bias_window: Sequence[int]) -> Tensor:
    return qkv.new_empty(qkv.size(0), qkv.size(2) * qkv.size(3))


def attend_backward(
    d_out: Tensor,
    out: Tensor,
    qkv: Tensor,
    scale: Tensor,
    bias: Tensor,
    grid: Sequence[int],
    bias_window: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of ``qkv``, ``scale`` and ``bias``."""
    window = bias_window[0], bias_window[1]
    dtype, given = full_precision(qkv), qkv.dtype
    qkv = qkv.to(dtype)
    inverse, v = _inverse_lengths(qkv), qkv[:, 2]
    unit = qkv[:, :2] * inverse
    q, k = unit[:, 0] * scale[:, None], unit[:, 1]
    d_out = d_out.to(dtype).reshape(v.shape)
    # sum_j P_ij dP_ij, which the gradient of a softmax subtracts, is the product of output and its gradient.
    inner = (d_out * out.view(v.shape)).sum(-1, keepdim=True)
    d_qkv, d_bias = torch.empty_like(qkv), torch.zeros_like(bias)
    start = 0
    for number, shape in WindowGrid.of(grid).cells:
        stop = start + number * shape[0] * shape[1]
        part = _cells_backward(
            *(q[start:stop], k[start:stop], v[start:stop], d_out[start:stop], inner[start:stop]),
            bias=cell_bias(bias, window, shape),
            d_qkv=d_qkv[start:stop],
        )
        _add_cell_bias(d_bias, window, part, shape)
        start = stop
    d_scale = _turn(d_qkv[:, :2], unit, inverse, _factors(scale))[0]
    return d_qkv.to(given), d_scale, d_bias


_attend_backward = library.custom_op(
    "mmswinv2::attend_backward", attend_backward, mutates_args=(), tags=(torch.Tag.flexible_layout,)
)


@_attend_backward.register_fake
def _(
    d_out: Tensor, out: Tensor, qkv: Tensor, scale: Tensor, bias: Tensor, *sizes: Sequence[int]
) -> tuple[Tensor, ...]:
    return torch.empty_like(qkv), torch.empty_like(scale), torch.empty_like(bias)


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.grid, ctx.bias_window = inputs
    ctx.save_for_backward(output, *tensors)


def _gradients(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
    gradients = _attend_backward(d_out, *ctx.saved_tensors, ctx.grid, ctx.bias_window)
    return *gradients, None, None


def _refuse(ctx: Any, *gradients: Tensor) -> None:
    raise RuntimeError(
        "cosine_attention has no second derivative: do without it (create_graph=True), or compute the "
        "attention by mmswinv2.layers.cosine_attention_plain"
    )


_attend.register_autograd(_gradients, setup_context=_keep_inputs)
_attend_backward.register_autograd(_refuse)


@register_flop_formula(torch.ops.mmswinv2.attend)
def _products(
    qkv: Sequence[int], scale: object, bias: object, grid: Sequence[int], *rest: object, **out: object
) -> int:
    """Operations of the two products, q k and P v, for torch's counter; a multiply-add is two."""
    return 2 * _product(qkv, grid)


@register_flop_formula(torch.ops.mmswinv2.attend_backward)
def _products_backward(
    d_out: object,
    out: object,
    qkv: Sequence[int],
    scale: object,
    bias: object,
    grid: Sequence[int],
    *rest: object,
    **made: object,
) -> int:
    """The same of the backward pass: q k anew, and a product for each of d_q, d_k, d_v and d_P."""
    return 5 * _product(qkv, grid)


def _product(qkv: Sequence[int], grid: Sequence[int]) -> int:
    _, _, heads, dims = qkv
    return 2 * heads * dims * sum(number * (h * w) ** 2 for number, (h, w) in WindowGrid.of(grid).cells)


def _turn(gradient: Tensor, unit: Tensor, inverse: Tensor, factors: Tensor) -> Tensor:
    """Turns the gradient of ``factors * unit`` into that of the vectors behind the unit vectors, in place.

    Args:
        gradient, unit: Of q and k, (T, 2, heads, d).
        inverse: 1 / length of the vectors, (T, 2, heads, 1).
        factors: (2, heads, 1).

    Returns:
        The gradient of the factors, (2, heads).
    """
    along = (gradient * unit).sum(-1, keepdim=True)  # (T, 2, heads, 1)
    d_factors = along.sum((0, 3))
    # What points along a vector does not turn it. A vector below the least length is only divided by that.
    along.masked_fill_(inverse >= 1 / MIN_NORM, 0.0)
    gradient.addcmul_(unit, along, value=-1).mul_(inverse * factors)
    return d_factors


def _cells_backward(
    q: Tensor, k: Tensor, v: Tensor, d_out: Tensor, inner: Tensor, *, bias: Tensor, d_qkv: Tensor
) -> Tensor:
    """The gradients of the windows of one shape, a few windows at a time.

    Args:
        q, k, v, d_out: (n * N, heads, d).
        inner: (n * N, heads, 1).
        bias: (heads, N, N).
        d_qkv: (n * N, 3, heads, d), to be filled with the gradients of q, k and v.

    Returns:
        The gradient of the bias, (heads, N, N).
    """
    heads, tokens, _ = bias.shape
    d_bias = torch.zeros_like(bias)
    chunk = CHUNK if bias.device.type == "cpu" else DEVICE_CHUNK
    step = max(1, chunk // bias.numel()) * tokens
    for start in range(0, len(q), step):
        n = min(step, len(q) - start) // tokens
        # (n * heads, N, d), contiguous: each enters two products.
        one, other, value, gradient, subtracted = (
            x[start : start + step].view(n, tokens, heads, -1).transpose(1, 2).flatten(0, 1)
            for x in (q, k, v, d_out, inner)
        )
        logits = torch.bmm(one, other.transpose(1, 2)).view(n, heads, tokens, -1).add_(bias)
        weights = logits.softmax(-1).flatten(0, 1)  # P, (n * heads, N, N)
        d_logits = torch.bmm(gradient, value.transpose(1, 2)).sub_(subtracted).mul_(weights)
        d_bias += d_logits.view(n, heads, tokens, -1).sum(0)
        products = (
            torch.bmm(d_logits, other),
            torch.bmm(d_logits.transpose(1, 2), one),
            torch.bmm(weights.transpose(1, 2), gradient),
        )
        for index, product in enumerate(products):
            target = d_qkv[start : start + step, index].view(n, tokens, heads, -1)
            target.copy_(product.view(n, heads, tokens, -1).transpose(1, 2))
    return d_bias


def _add_cell_bias(bias: Tensor, window: Pair, part: Tensor, cell: Pair) -> None:
    """Adds the gradient of a cell's bias to that of the window's, of which :func:`cell_bias` cut it."""
    h, w = cell
    bias.view(-1, *window, *window)[:, :h, :w, :h, :w] += part.view(-1, h, w, h, w)
