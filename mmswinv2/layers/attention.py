"""Scaled cosine attention inside windows (paper section 3.2, equation 2)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .position_bias import LogCPB, cell_bias, without_autocast
from .windows import map_size, map_windows

MAX_LOGIT_SCALE = math.log(100.0)  # 1 / tau: the paper keeps the temperature tau above 0.01
MAX_SDPA_BATCH = 65535  # CUDA kernels put the batch on a grid axis, which ends here


def cosine_attention_plain(q: Tensor, k: Tensor, v: Tensor, logit_scale: Tensor, bias: Tensor) -> Tensor:
    """Computes equation 2 as written: softmax(cos(q, k) / tau + B) v, in float32, or float64 where that is given.

    Args:
        q, k, v: Queries, keys and values of n windows of N tokens, (n, heads, N, d).
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


def cosine_attention(
    q: Tensor, k: Tensor, v: Tensor, logit_scale: Tensor, bias: Tensor, dropout: float = 0.0
) -> Tensor:
    """Computes the same with PyTorch's fused kernel.

    Logits reach 100 + 16, where bfloat16 is spaced by 0.5. Under autocast the kernel would cast its
    inputs down, so autocast is off around it and everything enters in float32.

    Args:
        q, k, v, logit_scale, bias: As in :func:`cosine_attention_plain`.
        dropout: Dropout rate of the attention weights, in [0, 1).

    Returns:
        (n, heads, N, d) in the dtype of ``v``.
    """
    with without_autocast(q.device):
        scale = logit_scale.float().clamp(max=MAX_LOGIT_SCALE).exp()
        q = F.normalize(q.float(), dim=-1) * scale
        k = F.normalize(k.float(), dim=-1)
        parts = [
            F.scaled_dot_product_attention(q_part, k_part, v_part, bias[None], dropout, scale=1.0)
            for q_part, k_part, v_part in zip(*(torch.split(x, MAX_SDPA_BATCH) for x in (q, k, v.float())), strict=True)
        ]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).to(v.dtype)


class WindowAttention(nn.Module):
    """Multi-head self-attention inside shifted windows of a map of any size.

    Args:
        embed_dims: Channels C.
        num_heads: Attention heads; their number divides ``embed_dims``.
        window_size: Height and width of a window in tokens.
        shift: Offset of the window grid in tokens, (0, 0) for the unshifted block.
        attn_drop_rate: Dropout on the attention weights.
        drop_rate: Dropout on the output.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: tuple[int, int],
        shift: tuple[int, int] = (0, 0),
        attn_drop_rate: float = 0.0,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.shift = shift
        self.attn_drop_rate = attn_drop_rate
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(embed_dims))  # k has no bias, as in the official release
        self.v_bias = nn.Parameter(torch.zeros(embed_dims))
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(10.0)))
        self.cpb_mlp = LogCPB(num_heads)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor, pretrained_window: Tensor) -> Tensor:
        """Attends inside each window.

        Args:
            x: Map (B, H, W, C).
            pretrained_window: Window (h, w) that the position bias was trained with, integer tensor (2,).

        Returns:
            Map (B, H, W, C).
        """
        height, width = map_size(x)
        qkv_bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, qkv_bias)  # (B, H, W, 3C)
        window = (min(self.window_size[0], height), min(self.window_size[1], width))
        bias = self.cpb_mlp(window, pretrained_window)  # (heads, N, N)

        def attend(qkv: Tensor, cell: tuple[int, int]) -> Tensor:
            n, tokens, _ = qkv.shape
            qkv = qkv.reshape(n, tokens, 3, self.num_heads, -1)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x (n, heads, tokens, d)
            dropout = self.attn_drop_rate if self.training else 0.0
            out = cosine_attention(q, k, v, self.logit_scale, cell_bias(bias, window, cell), dropout)
            return out.transpose(1, 2).reshape(n, tokens, -1)

        return self.proj_drop(self.proj(map_windows(qkv, self.window_size, self.shift, attend)))
