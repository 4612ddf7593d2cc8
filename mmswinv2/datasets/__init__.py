"""Images for classification and SimMIM: data sets, and the transforms of their pipelines."""

from .image_dataset import ImageDataset, ImageShards
from .listing import write_index
from .transforms import LoadImage, RandomPatchMask, TimmTransform

__all__ = [
    "ImageDataset",
    "ImageShards",
    "LoadImage",
    "RandomPatchMask",
    "TimmTransform",
    "write_index",
]
