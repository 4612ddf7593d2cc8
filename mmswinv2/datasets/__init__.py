"""Images for classification and SimMIM: data sets, and the transforms of their pipelines."""

from .image_dataset import ImageDataset
from .image_shards import ImageShards
from .load_image import LoadImage
from .random_patch_mask import RandomPatchMask
from .timm_transform import TimmTransform
from .unreadable import UnreadableImageError

__all__ = [
    "ImageDataset",
    "ImageShards",
    "LoadImage",
    "RandomPatchMask",
    "TimmTransform",
    "UnreadableImageError",
]
