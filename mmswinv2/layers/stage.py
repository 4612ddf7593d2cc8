"""A stage: blocks at one resolution, and the way down to the next."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .block import SwinV2Block
from .patches import PatchMerging
from .windows import Pair, WindowGrid, reorder, runs_at_once

PART = 4096  # tokens that a block works on at a time in evaluation on a CPU


class SwinV2Stage(nn.Module):
    """Blocks of one resolution; windows of every second block are shifted by half a window.

    Args:
        embed_dims: Channels C.
        depth: Number of blocks.
        num_heads: Attention heads.
        window_size: Height and width of a window in tokens.
        drop_path_rates: Stochastic depth of each block.
        extra_norm_period: n, where every n-th block ends with an extra norm; None: no block does.
        position_bias: As in :class:`WindowAttention`.
        drop_rate: Dropout on the outputs of attention and MLP.
        attn_drop_rate: Dropout on attention weights.
        downsample: Whether a :class:`PatchMerging` to the next stage belongs to this one.
        recomputed_blocks: The first so many blocks keep no activations; the backward pass computes them anew.
    """

    def __init__(
        self,
        embed_dims: int,
        depth: int,
        num_heads: int,
        window_size: Pair,
        drop_path_rates: Sequence[float],
        extra_norm_period: int | None = None,
        position_bias: str = "log_cpb",
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        downsample: bool = True,
        recomputed_blocks: int = 0,
    ) -> None:
        super().__init__()
        self.recomputed_blocks = recomputed_blocks
        self.window_size = window_size
        self.blocks = nn.ModuleList(
            SwinV2Block(
                embed_dims,
                num_heads,
                window_size,
                position_bias,
                drop_rate=drop_rate,
                attn_drop_rate=attn_drop_rate,
                drop_path_rate=drop_path_rates[index],
                extra_norm=extra_norm_period is not None and (index + 1) % extra_norm_period == 0,
            )
            for index in range(depth)
        )
        self.downsample = PatchMerging(embed_dims) if downsample else None

    def forward(
        self, x: Tensor, batch: int, size: Pair, pretrained_window: Tensor, bias_version: object | None = None
    ) -> Tensor:
        """Applies the blocks but not the merging, because heads take the features before it.

        Args:
            x: Tokens (B * H * W, C) in raster order.
            batch, size: B and (H, W).
            pretrained_window: As in :class:`WindowAttention`.
            bias_version: As in :class:`PositionBias`.

        Returns:
            Tokens (B * H * W, C) in raster order.
        """
        half, before = (self.window_size[0] // 2, self.window_size[1] // 2), None
        for index, block in enumerate(self.blocks):
            grid = WindowGrid(batch, size, self.window_size, half if index % 2 else (0, 0))
            x, before = reorder(x, before, grid), grid
            if index < self.recomputed_blocks and torch.is_grad_enabled():
                x = checkpoint(block, x, grid, pretrained_window, use_reentrant=False)
            elif x.device.type == "cpu" and runs_at_once(x) and not block.training:
                x = _by_parts(block, x, grid, pretrained_window, bias_version)
            else:
                x = block(x, grid, pretrained_window, bias_version)
        return reorder(x, before, None)


def _by_parts(block: nn.Module, x: Tensor, grid: WindowGrid, *arguments: object) -> Tensor:
    """Applies a block to a few windows at a time, so that what lies between its layers stays small and in the cache."""
    out = torch.empty_like(x)
    for part in grid.parts(PART):
        out[part.span] = block(x[part.span], part, *arguments)
    return out
