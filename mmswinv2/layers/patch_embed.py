"""Image to patches."""

from torch import Tensor, nn
from torch.nn import functional as F


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
        """(B, in_channels, H, W) to (B, ceil(H / patch_size), ceil(W / patch_size), C)."""
        height, width = image.shape[-2:]
        image = F.pad(image, (0, -width % self.patch_size, 0, -height % self.patch_size))
        return self.norm(self.proj(image).permute(0, 2, 3, 1))
