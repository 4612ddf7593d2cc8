"""Swin V2 block with residual post-normalisation (paper section 3.2 and figure 1), its MLP and stochastic depth."""

from torch import Tensor, nn

from .attention import WindowAttention
from .linear import Linear
from .windows import GridPart, Pair, WindowGrid, samples


class DropPath(nn.Module):
    """Drops a residual branch for whole samples while training, and scales the others to match.

    It comes after the post-norm, so a dropped branch leaves exactly the identity.

    Args:
        drop_rate: Probability of dropping a sample's branch, 0 <= drop_rate < 1.
    """

    def __init__(self, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x: Tensor, grid: WindowGrid | GridPart) -> Tensor:
        """Returns the branch, tokens (T, C) in the order of ``grid``, with those of some samples at 0."""
        if not self.training or self.drop_rate == 0.0:
            return x
        assert isinstance(grid, WindowGrid)  # parts are for evaluation
        keep_rate = 1.0 - self.drop_rate
        kept = x.new_empty(grid.batch, 1).bernoulli_(keep_rate) / keep_rate
        return x * (kept if grid.batch == 1 else kept.index_select(0, samples(x, grid)))

    def extra_repr(self) -> str:
        return f"drop_rate={self.drop_rate:.3f}"


MLP_RATIO = 4


class Mlp(nn.Module):
    """Linear, GELU, linear: C -> 4C -> C.

    Args:
        embed_dims: Channels C.
        drop_rate: Dropout after each linear layer.
    """

    def __init__(self, embed_dims: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.fc1 = Linear(embed_dims, MLP_RATIO * embed_dims)
        self.act = nn.GELU()
        self.fc2 = Linear(MLP_RATIO * embed_dims, embed_dims)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (T, C) to (T, C)."""
        x = self.drop(self.act(self.fc1(x)))
        return self.drop(self.fc2(x))


class SwinV2Block(nn.Module):
    """Attention and MLP, each normalised *after* it and before it joins the main branch.

    The gain of both norms starts at zero, so a new block is the identity and depth does not amplify
    activations. Huge and giant models also normalise the main branch itself every few blocks.

    Args:
        embed_dims: Channels C.
        num_heads: Attention heads.
        window_size: Largest window (h, w) in tokens.
        position_bias: As in :class:`WindowAttention`.
        drop_rate: Dropout on the outputs of attention and MLP.
        attn_drop_rate: Dropout on attention weights.
        drop_path_rate: Stochastic depth of this block.
        extra_norm: Whether a LayerNorm on the main branch ends the block (``enorm``).
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: Pair,
        position_bias: str = "log_cpb",
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        extra_norm: bool = False,
    ) -> None:
        super().__init__()
        self.attn = WindowAttention(embed_dims, num_heads, window_size, position_bias, attn_drop_rate, drop_rate)
        self.norm1 = nn.LayerNorm(embed_dims)
        self.mlp = Mlp(embed_dims, drop_rate)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.drop_path = DropPath(drop_path_rate)
        self.enorm = nn.LayerNorm(embed_dims) if extra_norm else None

    def reset_post_norms(self) -> None:
        """Sets the gain and the bias of the two post-norms to zero."""
        for norm in (self.norm1, self.norm2):
            nn.init.zeros_(norm.weight)
            nn.init.zeros_(norm.bias)

    def forward(
        self, x: Tensor, grid: WindowGrid | GridPart, pretrained_window: Tensor, bias_version: object | None = None
    ) -> Tensor:
        """Maps tokens (T, C) to the same shape; arguments are as in :class:`WindowAttention`."""
        x = x + self.drop_path(self.norm1(self.attn(x, grid, pretrained_window, bias_version)), grid)
        x = x + self.drop_path(self.norm2(self.mlp(x)), grid)
        return x if self.enorm is None else self.enorm(x)
