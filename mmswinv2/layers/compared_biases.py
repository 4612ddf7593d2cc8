"""The position biases to which the paper compares log-CPB (section 3.3, table 1), behind the same interface.

They show what log-CPB is worth. Published weights have log-CPB, and a model for use should have it too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bias_cache import PositionBias
from .position_bias import ContinuousBias, LogCPB


class LinearCPB(ContinuousBias):
    """Continuous position bias of linear coordinates: offsets over the pretrained window's greatest, no logarithm.

    At twice the window they reach twice as far as those it was trained with, where log-CPB's reach a third farther.
    """

    def coordinates(self, offset: Tensor, pretrained_window: Tensor) -> Tensor:
        """Returns coordinates in [-1, 1] within the pretrained window, float32."""
        return offset.float() / (pretrained_window.float() - 1).clamp(min=1)


class BiasTable(PositionBias):
    """One learnt bias for each offset and head, as in Swin V1 ("parameterised" in the paper).

    For another window V1 resizes the table when it loads the weights, see :func:`resize_table`.

    Args:
        num_heads: Attention heads.
        window: Largest window (h, w) in tokens.
    """

    def __init__(self, num_heads: int, window: tuple[int, int]) -> None:
        super().__init__()
        h, w = window
        self.table = nn.Parameter(torch.empty(2 * h - 1, 2 * w - 1, num_heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def offset_table(self, window: tuple[int, int], pretrained_window: Tensor) -> Tensor:
        """Cuts the offsets of a window, which is no larger than the table's, out of its middle."""
        rows, columns = (
            slice(side // 2 + 1 - length, side // 2 + length)
            for side, length in zip(self.table.shape, window, strict=False)
        )
        return self.table[rows, columns].float()


def resize_table(table: Tensor, shape: torch.Size) -> Tensor:
    """Resizes a table of biases to another window, bicubically as V1's official code does.

    Args:
        table: (2h - 1, 2w - 1, heads).
        shape: (2h' - 1, 2w' - 1, heads).
    """
    if table.shape == shape:
        return table
    resized = F.interpolate(table.permute(2, 0, 1).unsqueeze(0), size=shape[:2], mode="bicubic")  # (1, heads, ...)
    return resized.squeeze(0).permute(1, 2, 0).contiguous()


# The name that each has in an attention module, and so in a checkpoint, which tells by it what it has.
POSITION_BIASES = {"log_cpb": "cpb_mlp", "linear_cpb": "linear_cpb_mlp", "table": "relative_position_bias"}


def make_position_bias(kind: str, num_heads: int, window: tuple[int, int]) -> PositionBias:
    """Returns a new position bias.

    Args:
        kind: A key of :data:`POSITION_BIASES`.
        num_heads: Attention heads.
        window: Largest window (h, w) in tokens.
    """
    if kind == "table":
        return BiasTable(num_heads, window)
    return LogCPB(num_heads) if kind == "log_cpb" else LinearCPB(num_heads)
