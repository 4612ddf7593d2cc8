"""The parts of Swin Transformer V2 in plain PyTorch, one concept per file.

The paper's three ideas: residual post-normalisation (:mod:`.block`), scaled cosine attention
(:mod:`.attention`) and log-spaced continuous position bias (:mod:`.position_bias`). Their shared ground are tokens
in window order (:mod:`.windows`). What makes them fast stands apart: :mod:`.bias_cache`, :mod:`.recompute`,
:mod:`.linear`, and :mod:`.padding` for exported models. Biases to compare log-CPB with: :mod:`.compared_biases`.
"""

from .attention import WindowAttention, cosine_attention, cosine_attention_plain
from .bias_cache import BiasVersions, PositionBias, cell_bias
from .block import DropPath, Mlp, SwinV2Block
from .compared_biases import POSITION_BIASES, BiasTable, LinearCPB, resize_table
from .patches import PatchEmbed, PatchMerging
from .position_bias import LogCPB, log_coordinates, window_coordinates
from .stage import SwinV2Stage
from .windows import GridPart, WindowGrid, axis_runs, reorder

__all__ = [
    "POSITION_BIASES",
    "BiasTable",
    "BiasVersions",
    "DropPath",
    "GridPart",
    "LinearCPB",
    "LogCPB",
    "Mlp",
    "PatchEmbed",
    "PatchMerging",
    "PositionBias",
    "SwinV2Block",
    "SwinV2Stage",
    "WindowAttention",
    "WindowGrid",
    "axis_runs",
    "cell_bias",
    "cosine_attention",
    "cosine_attention_plain",
    "log_coordinates",
    "reorder",
    "resize_table",
    "window_coordinates",
]
