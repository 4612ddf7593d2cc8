"""Stochastic depth."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Drops a residual branch for whole samples while training, and scales the others to match.

    It comes after the post-norm, so a dropped branch leaves exactly the identity.

    Args:
        drop_rate: Probability of dropping a sample's branch, 0 <= drop_rate < 1.
    """

    def __init__(self, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to the same shape."""
        if not self.training or self.drop_rate == 0.0:
            return x
        keep_rate = 1.0 - self.drop_rate
        kept = x.new_empty(x.size(0), *[1] * (x.dim() - 1)).bernoulli_(keep_rate)
        return x * (kept / keep_rate)

    def extra_repr(self) -> str:
        return f"drop_rate={self.drop_rate:.3f}"
