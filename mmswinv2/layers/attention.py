"""Scaled cosine attention inside windows (paper section 3.2, equation 2)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bias_cache import PositionBias
from .compared_biases import POSITION_BIASES, make_position_bias
from .linear import Linear
from .padding import attend_padded
from .position_bias import without_autocast
from .recompute import attend, directions, full_precision
from .windows import GridPart, Pair, WindowGrid, is_exporting, reorder

MAX_LOGIT_SCALE = math.log(100.0)  # 1 / tau: the paper keeps the temperature tau above 0.01


def cosine_attention_plain(q: Tensor, k: Tensor, v: Tensor, logit_scale: Tensor, bias: Tensor) -> Tensor:
    """Equation 2 as written: softmax(cos(q, k) / tau + B) v, in float32, or float64 where that is given.

    Args:
        q, k, v: (n, heads, N, d).
        logit_scale: log(1 / tau), (heads, 1, 1); clamped at log(100).
        bias: B, (heads, N, N).

    Returns:
        (n, heads, N, d) in the dtype of ``v``.
    """
    dtype = full_precision(q)
    with without_autocast(q.device):
        cosine = F.normalize(q.to(dtype), dim=-1) @ F.normalize(k.to(dtype), dim=-1).transpose(-2, -1)
        tau = 1 / logit_scale.to(dtype).clamp(max=MAX_LOGIT_SCALE).exp()
        return ((cosine / tau + bias).softmax(dim=-1) @ v.to(dtype)).to(v.dtype)


def cosine_attention(
    qkv: Tensor, logit_scale: Tensor, bias: Tensor, grid: WindowGrid | GridPart, dropout: float = 0.0
) -> Tensor:
    """The same for all windows of a batch at once, by the fused kernel.

    Logits reach 100 + 16, where bfloat16 is spaced by 0.5. So autocast is off around it, and float32 is used, but for
    the kernel on a GPU, which has faster units for half precision; docs/precision.md tells what that costs.

    Args:
        qkv: Queries, keys and values of all tokens in the order of ``grid``, (T, 3, heads, d).
        logit_scale: log(1 / tau), (heads, 1, 1); clamped at log(100).
        bias: B of the largest window, ``grid.fitted_window``, of N tokens: (heads, N, N).
        grid: How the maps are cut into windows, or some of the windows.
        dropout: Dropout rate on the attention weights.

    Returns:
        (T, heads * d) in the dtype of ``qkv``.
    """
    dtype = full_precision(qkv)
    with without_autocast(qkv.device):
        scale = logit_scale.to(dtype).clamp(max=MAX_LOGIT_SCALE).exp().flatten()  # (heads,)
        bias = bias.to(dtype)
        if not dropout and not is_exporting():
            return attend(qkv, scale, bias, grid)
        assert isinstance(grid, WindowGrid)  # parts are for evaluation
        # What was dropped must be known to the backward pass, and an exported model knows torch's operations alone.
        raster = reorder(qkv.to(dtype).flatten(1), grid, None).view(qkv.shape)
        return reorder(attend_padded(*directions(raster, scale), bias, grid, dropout), None, grid).to(qkv.dtype)


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows.

    Args:
        embed_dims: Channels C.
        num_heads: Attention heads; their number divides ``embed_dims``.
        window_size: Largest window (h, w) in tokens.
        position_bias: ``log_cpb``; ``linear_cpb`` and ``table`` are for comparison, see :mod:`.compared_biases`.
        attn_drop_rate: Dropout on the attention weights.
        drop_rate: Dropout on the output.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: Pair,
        position_bias: str = "log_cpb",
        attn_drop_rate: float = 0.0,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_heads, self.head_dims = num_heads, embed_dims // num_heads
        self.attn_drop_rate = attn_drop_rate
        self.qkv = Linear(embed_dims, 3 * embed_dims, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(embed_dims))  # k has no bias, as in the official release
        self.v_bias = nn.Parameter(torch.zeros(embed_dims))
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(10.0)))
        self.bias_name = POSITION_BIASES[position_bias]  # cpb_mlp, as in the official release
        self.add_module(self.bias_name, make_position_bias(position_bias, num_heads, window_size))
        self.proj = Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(drop_rate)

    @property
    def position_bias(self) -> PositionBias:
        """The module that gives the bias of a window."""
        return getattr(self, self.bias_name)

    def forward(
        self, x: Tensor, grid: WindowGrid | GridPart, pretrained_window: Tensor, bias_version: object | None = None
    ) -> Tensor:
        """Attends inside each window.

        Args:
            x: Tokens (T, C) in the order of ``grid``.
            grid: How the maps are cut into windows. In evaluation also a part of them.
            pretrained_window: Window (h, w) that the position bias was trained with, integer tensor (2,).
            bias_version: As in :class:`PositionBias`.

        Returns:
            Tokens (T, C) in the same order.
        """
        qkv_bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = self.qkv(x, qkv_bias).view(x.size(0), 3, self.num_heads, self.head_dims)  # (T, 3, heads, d)
        bias = self.position_bias(grid.fitted_window, pretrained_window, bias_version)  # (heads, N, N)
        dropout = self.attn_drop_rate if self.training else 0.0
        return self.proj_drop(self.proj(cosine_attention(qkv, self.logit_scale, bias, grid, dropout)))
