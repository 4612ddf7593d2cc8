"""Swin V1's order of the norms and its dot-product attention, each to be had with or without the other.

They show what residual post-norm and cosine attention are worth. Only studies use them: a model for use has
:class:`mmswinv2.SwinTransformerV2`. A config that names :class:`SwinVariant` imports this module by ``custom_imports``.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arch import check_choice
from ..errors import ConfigError
from ..layers import (
    DropPath,
    GridPart,
    Mlp,
    PatchMerging,
    PositionBias,
    SwinV2Block,
    WindowAttention,
    WindowGrid,
    cell_bias,
)
from ..layers.attention import MAX_LOGIT_SCALE
from ..layers.linear import linear
from ..models.backbone import SwinTransformerV2
from ..registry import MODELS

Grid = WindowGrid | GridPart


class DotProductAttention(nn.Module):
    """softmax(q k / sqrt(d) + B) v inside windows, as in Swin V1.

    Keys have no bias here. It would add the same to all logits of a query, of which a softmax takes no notice.

    Args:
        attention: A cosine attention, whose parts it takes. The temperature has no use any more.
    """

    def __init__(self, attention: WindowAttention) -> None:
        super().__init__()
        self.num_heads, self.head_dims = attention.num_heads, attention.head_dims
        self.qkv, self.q_bias, self.v_bias = attention.qkv, attention.q_bias, attention.v_bias
        self.bias_name = attention.bias_name
        self.add_module(self.bias_name, attention.position_bias)
        self.attn_drop = nn.Dropout(attention.attn_drop_rate)
        self.proj, self.proj_drop = attention.proj, attention.proj_drop

    @property
    def position_bias(self) -> PositionBias:
        """The module that gives the bias of a window."""
        return getattr(self, self.bias_name)

    def forward(self, x: Tensor, grid: Grid, pretrained_window: Tensor, bias_version: object | None = None) -> Tensor:
        """As :class:`WindowAttention`."""
        bias = self.position_bias(grid.fitted_window, pretrained_window, bias_version)
        parts = []
        for q, k, v, cell in windows(self, x, grid):
            logits = logits_without_bias(self, q, k) + cell_bias(bias, grid.fitted_window, cell)
            out = self.attn_drop(logits.softmax(-1)) @ v  # (n, heads, N, d)
            parts.append(out.transpose(1, 2).reshape(-1, x.size(1)))
        return self.proj_drop(self.proj(torch.cat(parts)))


Attention = WindowAttention | DotProductAttention


def windows(attention: Attention, x: Tensor, grid: Grid) -> Iterator[tuple[Tensor, Tensor, Tensor, tuple[int, int]]]:
    """Yields queries, keys and values (n, heads, N, d) of the n windows of each shape, and that shape (h, w).

    Args:
        attention: Whose linear layer makes them.
        x: Tokens (T, C) in the order of ``grid``.
        grid: How the maps are cut into windows, or some of the windows.
    """
    qkv_bias = torch.cat([attention.q_bias, torch.zeros_like(attention.v_bias), attention.v_bias])
    qkv = linear(x, attention.qkv.weight, qkv_bias)
    start = 0
    for number, (h, w) in grid.cells:
        stop = start + number * h * w
        part = qkv[start:stop].view(number, h * w, 3, attention.num_heads, attention.head_dims)
        q, k, v = part.permute(2, 0, 3, 1, 4)
        yield q, k, v, (h, w)
        start = stop


def logits_without_bias(attention: Attention, q: Tensor, k: Tensor) -> Tensor:
    """Returns the logits (n, heads, N, N) of queries and keys (n, heads, N, d), before the position bias is added."""
    if isinstance(attention, DotProductAttention):
        return q @ k.mT / attention.head_dims**0.5
    return F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT * attention.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp()


class PreNormBlock(nn.Module):
    """A block that normalises what goes into attention and MLP, as in Swin V1, and not what comes out.

    Args:
        block: A post-norm block, whose parts it takes. The gains of the norms become 1, as in V1.
    """

    attn: Attention
    mlp: Mlp
    norm1: nn.LayerNorm
    norm2: nn.LayerNorm
    drop_path: DropPath

    def __init__(self, block: SwinV2Block) -> None:
        super().__init__()
        for name, part in block.named_children():
            self.add_module(name, part)
        for norm in (block.norm1, block.norm2):
            norm.reset_parameters()

    def forward(self, x: Tensor, grid: Grid, pretrained_window: Tensor, bias_version: object | None = None) -> Tensor:
        """As :class:`SwinV2Block`."""
        x = x + self.drop_path(self.attn(self.norm1(x), grid, pretrained_window, bias_version), grid)
        return x + self.drop_path(self.mlp(self.norm2(x)), grid)


def set_gains(block: SwinV2Block, gain: float) -> None:
    """Gives both post-norms of a block this gain. With 0 the block is the identity."""
    for norm in (block.norm1, block.norm2):
        nn.init.constant_(norm.weight, gain)


def put_norm_first(merging: PatchMerging) -> None:
    """Makes a patch merging normalise the 4C channels before it reduces them, as in V1, and not the 2C afterwards."""
    norm = nn.LayerNorm(merging.reduction.in_features)
    merging.add_module("reduction", nn.Sequential(norm, merging.reduction))
    merging.add_module("norm", nn.Identity())


@MODELS.register_module()
class SwinVariant(SwinTransformerV2):
    """Swin V2 with the order of norms or the attention of Swin V1, or both.

    With the same seed all four begin with the same linear layers. ``norm="pre"``, ``attention="dot"`` and
    ``position_bias="table"`` together are Swin V1.

    Args:
        norm: ``post`` as in V2; ``pre`` as in V1.
        attention: ``cosine`` as in V2; ``dot`` as in V1.
        first_gain: The gain with which post-norms begin, 0 in V2. Pre-norms begin with 1, as in V1.
        settings: Those of :class:`SwinTransformerV2`. Pre-norm takes no ``extra_norm_period``.

    Raises:
        ConfigError: A value is not among those above.
    """

    def __init__(self, norm: str = "post", attention: str = "cosine", first_gain: float = 0.0, **settings: Any) -> None:
        super().__init__(**settings)
        check_choice("norm", norm, ("post", "pre"))
        check_choice("attention", attention, ("cosine", "dot"))
        if norm == "pre" and self.arch.extra_norm_period is not None:
            raise ConfigError("norm='pre' goes without extra norms: take extra_norm_period out of backbone.arch")
        block: Any  # to mypy, members of a ModuleList are plain Modules
        for stage in self.layers:
            if norm == "pre" and stage.downsample is not None:
                put_norm_first(stage.downsample)
            for index, block in enumerate(stage.blocks):
                if attention == "dot":
                    block.attn = DotProductAttention(block.attn)
                if norm == "pre":
                    stage.blocks[index] = PreNormBlock(block)
                else:
                    set_gains(block, first_gain)
