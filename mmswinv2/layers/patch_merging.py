"""Downsampling between stages."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PatchMerging(nn.Module):
    """Merges 2 x 2 neighbours: C to 2C channels, normalised after the reduction (V1: before).

    Args:
        embed_dims: Channels C.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * embed_dims, 2 * embed_dims, bias=False)
        self.norm = nn.LayerNorm(2 * embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), 2C); an odd side gets a row of zeros."""
        x = F.pad(x, (0, 0, 0, x.size(2) % 2, 0, x.size(1) % 2))
        # Order of the released weights: down the first column of the 2 x 2, then down the second.
        neighbours = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.norm(self.reduction(torch.cat(neighbours, dim=-1)))
