"""Data sets of images, for classification with labels, for SimMIM without."""

import logging
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

from ..errors import ConfigError, DataError, UnreadableImageError, UserError
from ..registry import DATASETS
from ..upstream import chosen_indices, is_listed, own_metainfo, set_listed
from .listing import (
    class_folder_lines,
    class_folders,
    folder_lines,
    labelled_list_file_lines,
    list_file_lines,
    split_line,
)
from .seeds import seeded

NAMED = 5  # unreadable images that the log names
COUNTED = 100  # of the later ones, the log names every hundredth


class SkippedImages:
    """The unreadable images that one process has met, for its log."""

    def __init__(self) -> None:
        self.faults: set[str] = set()

    def add(self, error: UnreadableImageError) -> None:
        """Counts an image, once however often it is met. The log names the first few, and then some."""
        if str(error) in self.faults:
            return
        self.faults.add(str(error))
        count = len(self.faults)
        if count <= NAMED or count % COUNTED == 0:
            print_log(
                f"Skipped an unreadable image, number {count} of this process: {error}", "current", logging.WARNING
            )


MAX_SKIPPED_IN_A_ROW = 100


@DATASETS.register_module()
class ImageDataset(BaseDataset):
    """Images below a folder, and their labels.

    ``ann_file`` and ``with_label`` say where both come from:

    - neither given: the folder holds a folder for each class, whose sorted names are the classes;
    - ``ann_file``: a text file with a line ``path label`` for each image, the path below the folder;
    - ``with_label=False``: all images below the folder, or the paths in ``ann_file``.

    Entries have ``img_path`` and, unless ``with_label=False``, ``label``. An index with an attribute ``seed`` seeds
    torch, numpy and random for its sample alone.

    Args:
        ann_file: List file, below ``data_root`` if relative; labels count from 0.
        metainfo: ``classes``, a tuple of names or a file with one a line. Of class folders it chooses and numbers
            those to use; for a list file it names the labels.
        data_root: Root of ``data_prefix`` and ``ann_file``.
        data_prefix: ``dict(img_path=FOLDER)``.
        with_label: Whether images have labels.
        skip_unreadable: Whether training takes the next readable image in the place of an unreadable one, so that
            batches keep their size and order. The log counts them. Else an unreadable image stops the run.
        backend_args: MMEngine's, for data elsewhere than on a disk; it needs an ``ann_file``.
        indices: How many images to take, from the end if negative; or the indices of those to take.
        pipeline: Transforms, the first of which is ``mmswinv2.LoadImage``.
        test_mode: Whether the data is for evaluation.
        lazy_init: Whether to look for the images only when they are first used.

    Raises:
        ConfigError: Settings do not work. The message says what to do.
        DataError: A folder or a list file does not hold what it should.
    """

    def __init__(
        self,
        ann_file: str = "",
        metainfo: dict | None = None,
        data_root: str = "",
        data_prefix: dict[str, str] | None = None,
        with_label: bool = True,
        skip_unreadable: bool = False,
        backend_args: dict | None = None,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        if skip_unreadable and test_mode:
            raise ConfigError("skip_unreadable=True is for training: in evaluation every image counts, mend the data")
        self.with_label = with_label
        self.skip_unreadable = skip_unreadable
        self.backend_args = backend_args
        self.max_label = -1
        self._skipped = SkippedImages()
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_root=data_root,
            data_prefix=data_prefix or dict(img_path=""),
            indices=indices,
            pipeline=pipeline,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def full_init(self) -> None:
        """Looks for the images. MMEngine would keep a dict for each, which takes gigabytes for ImageNet-22k."""
        if is_listed(self):
            return
        self._check_classes()
        self.data_bytes, self.data_address = pack(self._counted(self._lines()))
        if not len(self.data_address):
            raise DataError(f"There is no image in {os.path.abspath(self.ann_file or self.folder)}")
        set_listed(self)
        indices = chosen_indices(self)
        if indices is not None:
            self.get_subset_(chosen(indices, len(self)))

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Returns the entry of an image: ``img_path``, ``sample_idx`` and, with labels, ``label``."""
        position = int(idx) + (len(self) if idx < 0 else 0)
        start = self.data_address[position - 1] if position else 0
        line = self.data_bytes[start : self.data_address[position]].tobytes()
        return {**self.parse_data_info(line.decode("utf-8", "surrogateescape")), "sample_idx": position}

    def parse_data_info(self, raw_data_info: str) -> dict[str, Any]:
        """Returns the entry that a line stands for."""
        if not self.with_label:
            return {"img_path": os.path.join(self.folder, raw_data_info)}
        path, label = raw_data_info.rsplit(maxsplit=1)
        return {"img_path": os.path.join(self.folder, path), "label": int(label)}

    def get_cat_ids(self, idx: int) -> list[int]:
        """Returns the class of an image, by which MMEngine's ``ClassBalancedDataset`` repeats it."""
        return [self.get_data_info(idx)["label"]]

    def __getitem__(self, idx: int) -> dict[str, Any]:
        """Returns the sample that the pipeline makes of an image.

        Raises:
            UnreadableImageError: Names the image. With ``skip_unreadable``, 100 images in a row cannot be read.
        """
        try:
            with seeded(getattr(idx, "seed", None)):
                return self._readable(idx) if self.skip_unreadable else self._sample(idx)
        except UserError as error:
            raise (error.framed() if get_worker_info() else error) from error.__cause__

    def _sample(self, idx: int) -> dict[str, Any]:
        """The sample of an image that must be readable."""
        try:
            return self.prepare_data(idx)
        except UnreadableImageError as error:
            advice = "Mend the file or, in training, skip such images: skip_unreadable=True in the data set"
            raise UnreadableImageError(f"{error}\n  {advice}") from error

    @property
    def folder(self) -> str:
        """The folder that paths are relative to."""
        return self.data_prefix["img_path"]

    def _readable(self, idx: int) -> dict[str, Any]:
        """The sample of the first readable image from ``idx`` on."""
        for position in range(idx, idx + MAX_SKIPPED_IN_A_ROW):
            try:
                return self.prepare_data(position % len(self))
            except UnreadableImageError as error:
                self._skipped.add(error)
                fault = error
        raise UnreadableImageError(f"{MAX_SKIPPED_IN_A_ROW} images in a row cannot be read, the last: {fault}")

    def _check_classes(self) -> None:
        """Takes the classes from the folders where they are not given, and checks them."""
        if self.with_label and not self.ann_file:
            own_metainfo(self).setdefault("classes", class_folders(self.folder))
        classes = own_metainfo(self).get("classes")
        if isinstance(classes, str):
            raise ConfigError(
                f"metainfo.classes={classes!r} is no file: give one, or a tuple of names, ('name',) for one"
            )
        if classes is not None:
            own_metainfo(self)["classes"] = classes = tuple(classes)
            if len(set(classes)) < len(classes):
                raise ConfigError(f"metainfo.classes names a class twice: {classes}")

    def _lines(self) -> Iterator[str]:
        """A line for each image."""
        if not self.with_label:
            return list_file_lines(self.ann_file, self.backend_args) if self.ann_file else folder_lines(self.folder)
        if not self.ann_file:
            return class_folder_lines(self.folder, own_metainfo(self)["classes"])
        classes = own_metainfo(self).get("classes")
        return labelled_list_file_lines(self.ann_file, classes and len(classes), self.backend_args)

    def _counted(self, lines: Iterable[str]) -> Iterator[str]:
        """Yields the lines as they are, and notes the greatest label for the check before a run."""
        for line in lines:
            if self.with_label:
                self.max_label = max(self.max_label, int(line.rsplit(maxsplit=1)[1]))
            yield line


def pack(lines: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lines as one block of bytes, and the place in it where each line ends."""
    text, ends = bytearray(), array("q")
    for line in lines:
        text += line.encode("utf-8", "surrogateescape")
        ends.append(len(text))
    return np.frombuffer(text, np.uint8), np.frombuffer(ends, np.int64)


def chosen(indices: int | Sequence[int], total: int) -> Sequence[int]:
    """Returns what ``indices`` stands for: the first so many, the last if it is negative, or the indices themselves."""
    if not isinstance(indices, int):
        return indices
    return range(total)[:indices] if indices >= 0 else range(total)[indices:]


@DATASETS.register_module()
class ImageShards(ImageDataset):
    """Images in shards, tar files of WebDataset's layout: ``KEY.jpg`` and, with labels, ``KEY.cls``.

    Every image can be reached by itself, so samplers and resuming work as with image files. ``tools/index_shards.py``
    writes the index that this takes.

    Args:
        ann_file: The index, required.
        data_prefix: ``dict(img_path=FOLDER)``, the folder of the shards.
        settings: Others of :class:`ImageDataset`. ``metainfo.classes`` names the labels. Shards must lie on a disk.

    Raises:
        ConfigError: As for :class:`ImageDataset`.
        DataError: A line of the index is not what it should be.
    """

    def __init__(self, ann_file: str, **settings: Any) -> None:
        self.shard_sizes: dict[str, int] = {}  # path: bytes that the shard must have at least
        super().__init__(ann_file=ann_file, **settings)

    def parse_data_info(self, raw_data_info: str) -> dict[str, Any]:
        """Returns the entry that a line stands for, which also says where in a shard the image is."""
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
