"""Scaled cosine attention inside windows (paper section 3.2, equation 2)."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .position_bias import LogCPB, cell_bias, without_autocast
from .windows import WindowGrid, is_recording

MAX_LOGIT_SCALE = math.log(100.0)  # 1 / tau: the paper keeps the temperature tau above 0.01
MAX_SDPA_BATCH = 65535  # CUDA kernels put the batch on a grid axis, which has this many places
MIN_NORM = 1e-12  # as in torch.nn.functional.normalize
CHUNK = 2**18  # logits that a backward pass holds at a time on a CPU: 1 MB, which a core's cache takes
DEVICE_CHUNK = 2**25  # the same on a GPU, which wants much to do at a time: 128 MB, not measured yet


def cosine_attention_plain(q: Tensor, k: Tensor, v: Tensor, logit_scale: Tensor, bias: Tensor) -> Tensor:
    """Equation 2 as written: softmax(cos(q, k) / tau + B) v, in float32, or float64 where that is given.

    Args:
        q, k, v: (n, heads, N, d).
        logit_scale: log(1 / tau), (heads, 1, 1); clamped at log(100).
        bias: B, (heads, N, N).

    Returns:
        (n, heads, N, d) in the dtype of ``v``.
    """
    dtype = torch.promote_types(q.dtype, torch.float32)
    with without_autocast(q.device):
        cosine = F.normalize(q.to(dtype), dim=-1) @ F.normalize(k.to(dtype), dim=-1).transpose(-2, -1)
        tau = 1 / logit_scale.to(dtype).clamp(max=MAX_LOGIT_SCALE).exp()
        return ((cosine / tau + bias).softmax(dim=-1) @ v.to(dtype)).to(v.dtype)


def cosine_attention(qkv: Tensor, logit_scale: Tensor, bias: Tensor, grid: WindowGrid, dropout: float = 0.0) -> Tensor:
    """The same for all windows of a batch at once, by the fused kernel.

    Logits reach 100 + 16, where bfloat16 is spaced by 0.5. Under autocast the kernel would cast its
    inputs down, so autocast is off around it and everything enters in float32.

    Where gradients are asked for, the backward pass computes the logits anew, a few windows at a time. torch's own
    kernel keeps all of them as soon as the bias learns: memory would grow with the area of a window.

    Args:
        qkv: Queries, keys and values of all tokens in the order of ``grid``, (T, 3, heads, d).
        logit_scale: log(1 / tau), (heads, 1, 1); clamped at log(100).
        bias: B of the largest window, ``grid.fitted_window``, of N tokens: (heads, N, N).
        grid: How the maps are cut into windows.
        dropout: Dropout rate on the attention weights.

    Returns:
        (T, heads * d) in the dtype of ``qkv``.
    """
    dtype = torch.promote_types(qkv.dtype, torch.float32)
    with without_autocast(qkv.device):
        scale = logit_scale.to(dtype).clamp(max=MAX_LOGIT_SCALE).exp().flatten()  # (heads,)
        # A compiler fuses and recomputes as it sees fit. Dropout would have to be the same in both passes.
        if torch.is_grad_enabled() and not dropout and not is_recording():
            out: Tensor = _Attention.apply(  # type: ignore[no-untyped-call] # torch has no types for it
                qkv.to(dtype), scale, bias.to(dtype), grid
            )
        else:
            q, k, v = qkv.to(dtype).unbind(1)
            out = _attend(_direction(q)[0] * scale[:, None], _direction(k)[0], v, bias.to(dtype), grid, dropout)
        return out.to(qkv.dtype)


def _direction(x: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (..., d) divided by their length, and 1 / length (..., 1); a length below the least counts as that."""
    # The same as torch.nn.functional.normalize, whose norm is slow where d is small.
    inverse = x.square().sum(-1, keepdim=True).clamp_(min=MIN_NORM**2).rsqrt_()
    return x * inverse, inverse


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, grid: WindowGrid, dropout: float = 0.0) -> Tensor:
    """softmax(q k + B) v inside each window, (T, heads, d) to (T, heads * d)."""
    parts, start = [], 0
    for number, shape in grid.cells:
        tokens = shape[0] * shape[1]
        mask = cell_bias(bias, grid.fitted_window, shape)[None]
        for first in range(0, number, MAX_SDPA_BATCH):
            n = min(MAX_SDPA_BATCH, number - first)
            stop = start + n * tokens
            # Three views (n, heads, tokens, d) of a slice: nothing is copied.
            one, other, third = (x[start:stop].view(n, tokens, *x.shape[1:]).transpose(1, 2) for x in (q, k, v))
            out = F.scaled_dot_product_attention(one, other, third, mask, dropout, scale=1.0)
            parts.append(out.transpose(1, 2).reshape(n * tokens, -1))
            start = stop
    return parts[0] if len(parts) == 1 else torch.cat(parts)  # cat copies even a single part


class _Attention(torch.autograd.Function):
    """Cosine attention with a backward pass that keeps no logits; arguments as in :func:`cosine_attention`."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, scale: Tensor, bias: Tensor, grid: WindowGrid) -> Tensor:
        # Detached: views of what requires a gradient keep saying so, and then torch takes its slow path for the mask.
        q, k, v = qkv.detach().unbind(1)
        out = _attend(_direction(q)[0] * scale[:, None], _direction(k)[0], v, bias.detach(), grid)
        ctx.save_for_backward(qkv, scale, bias, out)
        ctx.grid = grid
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "cosine_attention has no second derivative: call backward without create_graph=True, or compute the "
                "attention by mmswinv2.layers.cosine_attention_plain"
            )
        qkv, scale, bias, out = ctx.saved_tensors
        q, k, v = qkv.unbind(1)
        with without_autocast(qkv.device):
            (q, q_inverse), (k, k_inverse) = _direction(q), _direction(k)
            d_out = d_out.reshape(v.shape)
            # sum_j P_ij dP_ij, which the gradient of a softmax subtracts, is the product of output and its gradient.
            inner = (d_out * out.view(v.shape)).sum(-1, keepdim=True)
            d_qkv, d_bias = torch.empty_like(qkv), torch.zeros_like(bias)
            scaled, start = q * scale[:, None], 0
            for number, shape in ctx.grid.cells:
                stop = start + number * shape[0] * shape[1]
                part = _attend_backward(
                    *(scaled[start:stop], k[start:stop], v[start:stop], d_out[start:stop], inner[start:stop]),
                    bias=cell_bias(bias, ctx.grid.fitted_window, shape),
                    d_qkv=d_qkv[start:stop],
                )
                _add_cell_bias(d_bias, ctx.grid.fitted_window, part, shape)
                start = stop
            d_scale = _turn(d_qkv[:, 0], q, q_inverse, scale[:, None])
            _turn(d_qkv[:, 1], k, k_inverse)
        return d_qkv, d_scale, d_bias, None


def _turn(gradient: Tensor, direction: Tensor, inverse: Tensor, scale: Tensor | None = None) -> Tensor:
    """Turns the gradient of ``scale * direction`` into that of the vector behind the direction, in place.

    Args:
        gradient: (T, heads, d).
        direction, inverse: As from :func:`_direction`.
        scale: (heads, 1); None: 1.

    Returns:
        The gradient of the scale, (heads,).
    """
    along = (gradient * direction).sum(-1, keepdim=True)  # (T, heads, 1)
    d_scale = along.sum((0, 2))
    # What points along a vector does not turn it. A vector below the least length is only divided by that.
    along.masked_fill_(inverse >= 1 / MIN_NORM, 0.0)
    gradient.addcmul_(direction, along, value=-1).mul_(inverse if scale is None else inverse * scale)
    return d_scale


def _attend_backward(
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


def _add_cell_bias(bias: Tensor, window: tuple[int, int], part: Tensor, cell: tuple[int, int]) -> None:
    """Adds the gradient of a cell's bias to that of the window's, of which :func:`cell_bias` cut it."""
    h, w = cell
    bias.view(-1, *window, *window)[:, :h, :w, :h, :w] += part.view(-1, h, w, h, w)


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows.

    Args:
        embed_dims: Channels C.
        num_heads: Attention heads; their number divides ``embed_dims``.
        attn_drop_rate: Dropout on the attention weights.
        drop_rate: Dropout on the output.
    """

    def __init__(self, embed_dims: int, num_heads: int, attn_drop_rate: float = 0.0, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attn_drop_rate = attn_drop_rate
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(embed_dims))  # k has no bias, as in the official release
        self.v_bias = nn.Parameter(torch.zeros(embed_dims))
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(10.0)))
        self.cpb_mlp = LogCPB(num_heads)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(
        self, x: Tensor, grid: WindowGrid, pretrained_window: Tensor, bias_version: object | None = None
    ) -> Tensor:
        """Attends inside each window.

        Args:
            x: Tokens (T, C) in the order of ``grid``.
            grid: How the maps are cut into windows.
            pretrained_window: Window (h, w) that the position bias was trained with, integer tensor (2,).
            bias_version: As in :class:`LogCPB`.

        Returns:
            Tokens (T, C) in the same order.
        """
        qkv_bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, qkv_bias).view(len(x), 3, self.num_heads, -1)  # (T, 3, heads, d)
        bias = self.cpb_mlp(grid.fitted_window, pretrained_window, bias_version)  # (heads, N, N)
        dropout = self.attn_drop_rate if self.training else 0.0
        return self.proj_drop(self.proj(cosine_attention(qkv, self.logit_scale, bias, grid, dropout)))
