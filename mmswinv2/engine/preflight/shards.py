"""Are the shards of a set there and whole, and do images lie where the index says?"""

import os
from functools import partial

from ...datasets import ImageShards, LoadImage, UnreadableImageError
from .image_files import MAX_DECODED, map_files, spread


def shard_faults(dataset: ImageShards) -> list[str]:
    """Shards that are missing or end before their last image, one line each."""
    return map_files(partial(_size_fault, dataset), list(dataset.shard_sizes))


def image_faults(dataset: ImageShards) -> list[str]:
    """Images that do not decode, among up to ``MAX_DECODED`` evenly spread ones, one line each."""
    return map_files(partial(_image_fault, dataset), spread(range(len(dataset)), MAX_DECODED))


def _size_fault(dataset: ImageShards, shard: str) -> str | None:
    try:
        size = os.path.getsize(shard)
    except OSError as error:
        return f"{shard}: {error.strerror}"
    if size < dataset.shard_sizes[shard]:
        return f"{shard}: it ends after {size} bytes, its last image after {dataset.shard_sizes[shard]}"
    return None


def _image_fault(dataset: ImageShards, index: int) -> str | None:
    try:
        LoadImage()(dataset.get_data_info(index))
    except UnreadableImageError as error:
        return str(error)
    return None
