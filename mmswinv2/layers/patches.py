"""Patches of the image, and their merging between stages."""

from torch import Tensor, nn
from torch.nn import functional as F

from .linear import Linear, linear
from .windows import Pair


class PatchEmbed(nn.Module):
    """Projects non-overlapping patches and normalises them; an incomplete patch is filled with zeros.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels C of a patch.
        patch_size: Side of a patch in pixels.
    """

    def __init__(self, in_channels: int, embed_dims: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(in_channels, embed_dims, kernel_size=patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(embed_dims)

    def forward(self, image: Tensor) -> Tensor:
        """Maps (B, in_channels, H, W) to (B, ceil(H / patch_size), ceil(W / patch_size), C)."""
        batch, channels, height, width = image.shape
        side = self.patch_size
        rows, columns = (height + side - 1) // side, (width + side - 1) // side
        image = F.pad(image, (0, columns * side - width, 0, rows * side - height))
        patches = image.view(batch, channels, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5)
        patches = patches.reshape(batch * rows * columns, channels * side * side)
        # Patches do not overlap, so the convolution is a linear layer.
        tokens = self.norm(linear(patches, self.proj.weight.flatten(1), self.proj.bias))
        return tokens.view(batch, rows, columns, tokens.size(1))


class PatchMerging(nn.Module):
    """Merges 2 x 2 neighbours into one token of 2C channels, normalised after the reduction (in V1 before it).

    Args:
        embed_dims: Channels C.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.reduction = Linear(4 * embed_dims, 2 * embed_dims, bias=False)
        self.norm = nn.LayerNorm(2 * embed_dims)

    def forward(self, x: Tensor, batch: int, size: Pair) -> tuple[Tensor, Pair]:
        """Merges all maps of a batch; an odd side gets a row of zeros.

        Args:
            x: Tokens (B * H * W, C) in raster order.
            batch, size: B and (H, W).

        Returns:
            Tokens (B * ceil(H / 2) * ceil(W / 2), 2C) in raster order, and the size of their map.
        """
        height, width = size
        rows, columns = (height + 1) // 2, (width + 1) // 2
        x = x.view(batch, height, width, x.size(1))
        x = F.pad(x, (0, 0, 0, 2 * columns - width, 0, 2 * rows - height))
        # Order of the released weights: down the first column of the 2 x 2, then down the second.
        neighbours = x.view(batch, rows, 2, columns, 2, x.size(3)).permute(0, 1, 3, 4, 2, 5)
        neighbours = neighbours.reshape(batch * rows * columns, 4 * x.size(3))
        return self.norm(self.reduction(neighbours)), (rows, columns)
