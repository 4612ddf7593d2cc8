"""Images in tar files, for sets of more files than a file system likes."""

import os
from collections.abc import Iterator
from typing import Any

from ..registry import DATASETS
from .image_dataset import ImageDataset
from .shard_index import split_line


@DATASETS.register_module()
class ImageShards(ImageDataset):
    """Images in shards, tar files of WebDataset's layout: ``KEY.jpg`` and, with labels, ``KEY.cls``.

    Every image can be reached by itself, so samplers and resuming work as with image files. ``tools/index_shards.py``
    writes the index that this takes.

    Args:
        ann_file: The index, required.
        data_prefix: ``dict(img_path=FOLDER)``, the folder of the shards.
        settings: Others of :class:`ImageDataset`. ``metainfo.classes`` names the labels; shards lie on a disk.

    Raises:
        ValueError: As :class:`ImageDataset`.
    """

    def __init__(self, ann_file: str, **settings: Any) -> None:
        self.shard_sizes: dict[str, int] = {}  # path: size that the shard has at least, in bytes
        super().__init__(ann_file=ann_file, **settings)

    def parse_data_info(self, raw_data_info: str) -> dict[str, Any]:
        """The entry of a line: where the image is, beside what :class:`ImageDataset` has."""
        shard, name, offset, size, label = split_line(raw_data_info)
        shard = os.path.join(self.folder, shard)
        entry = {"img_path": f"{shard}/{name}", "shard": shard, "offset": offset, "size": size}
        return {**entry, "label": label} if self.with_label else entry

    def _lines(self) -> Iterator[str]:
        for line in super()._lines():
            shard, _, offset, size, _ = split_line(line)
            shard = os.path.join(self.folder, shard)
            self.shard_sizes[shard] = max(self.shard_sizes.get(shard, 0), offset + size)
            yield line
