"""Feed-forward part of a block."""

from torch import Tensor, nn

MLP_RATIO = 4


class Mlp(nn.Module):
    """Linear, GELU, linear: C -> 4C -> C.

    Args:
        embed_dims: Channels C.
        drop_rate: Dropout after each linear layer.
    """

    def __init__(self, embed_dims: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, MLP_RATIO * embed_dims)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(MLP_RATIO * embed_dims, embed_dims)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        x = self.drop(self.act(self.fc1(x)))
        return self.drop(self.fc2(x))
