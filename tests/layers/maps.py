"""Layers on maps: they take tokens in window order, what a test knows is the map."""

import torch
from torch import Tensor, nn

from mmswinv2.layers import WindowGrid, reorder

Pair = tuple[int, int]


def grid_of(x: Tensor, window: Pair, shift: Pair) -> WindowGrid:
    """The grid of a batch of maps (B, H, W, C)."""
    return WindowGrid(x.size(0), (x.size(1), x.size(2)), window, shift)


def on_map(module: nn.Module, x: Tensor, window: Pair, shift: Pair, pretrained: Tensor) -> Tensor:
    """What a block or an attention makes of maps (B, H, W, C), as a stage calls it."""
    grid = grid_of(x, window, shift)
    tokens = module(reorder(x.flatten(0, 2), None, grid), grid, pretrained)
    return reorder(tokens, grid, None).view(*x.shape[:3], -1)


def in_one_window(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, WindowGrid]:
    """Queries, keys and values (n, heads, N, d) as :func:`cosine_attention` takes them: n maps of one window each."""
    n, _, tokens, _ = q.shape
    qkv = torch.stack([q, k, v], dim=1).permute(0, 3, 1, 2, 4).flatten(0, 1)  # (n * N, 3, heads, d)
    return qkv, WindowGrid(n, (1, tokens), (1, tokens), (0, 0))


def by_window(out: Tensor, like: Tensor) -> Tensor:
    """The result (n * N, heads * d) in the shape (n, heads, N, d) of ``like``."""
    n, heads, tokens, dims = like.shape
    return out.view(n, tokens, heads, dims).transpose(1, 2)
