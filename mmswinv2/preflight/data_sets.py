"""Looks at the images and label maps of a data set.

A few bytes of every file are read, which is quick enough for all of COCO at every start, and finds JPEGs that are cut
short: many decoders make a picture of them whose lower part is grey. Then files are decoded: a run takes all of a small
set and an evenly spread sample of a large one, ``mmswinv2 check`` takes all.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mmengine.dataset import BaseDataset

from ..datasets.image_dataset import ImageShards
from ..datasets.transforms import LoadImage
from ..errors import UnreadableImageError
from ..upstream import reads_coco
from .faults import ERROR, WARNING, Fault, Finding, Kind, found
from .files import THREADS, decode_fault, end_fault, shard_fault, spread
from .images import VANISHES, first_scales, image_loader, loaded_size, pixels, size_fault, turned, vanishing_scale
from .label_maps import MAP_SIZE, read_label_map, reads_label_maps, values_fault

BROKEN = Kind("broken-file", ERROR, "files looked at are missing or broken", "Fetch or remove these files")
SKIPPED = Kind(
    "skipped-file",
    WARNING,
    "files looked at are missing or broken",
    "Training skips them (skip_unreadable=True)",
)
BROKEN_SHARD = Kind(
    "broken-shard", ERROR, "shards are missing or cut short", "Fetch these shards, or write the index anew"
)
DOUBLE_ENTRY = Kind("listed-twice", WARNING, "images looked at are listed more than once", "They count twice")
TWO_LABELS = Kind(
    "two-labels", WARNING, "images looked at are listed with two labels", "One of the labels is wrong: mend the list"
)
CHUNK = 10_000  # entries at a time, so that a set of millions does not wait in a queue
Faults = list[tuple[Kind, Fault]]
Advance = Callable[[int], object]


@dataclass(frozen=True)
class Depth:
    """How many files are looked at.

    Attributes:
        read: How many entries, of which the first and last bytes of the files are read.
        decoded: How many of them are decoded.
    """

    read: int
    decoded: int


AT_START = Depth(200_000, 500)  # all of COCO is read, of ImageNet a sample
FULL = Depth(sys.maxsize, sys.maxsize)


class Entries(Sequence[dict]):
    """The entries of a data set, each made when it is asked for."""

    def __init__(self, dataset: BaseDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        return self.dataset.get_data_info(index)


def look_at(
    dataset: BaseDataset,
    key: str,
    depth: Depth,
    entries: Sequence[dict] | None = None,
    advance: Advance = lambda _: None,
) -> tuple[list[Finding], str]:
    """Checks the files of a data set.

    Args:
        dataset: Its pipeline and classes say how files are loaded.
        key: Its config key.
        depth: How many files to look at.
        entries: Dicts with ``img_path`` and perhaps ``seg_map_path``, ``height`` and ``width``; None: the data
            set's own, without those that it filters.
        advance: Called with the number of entries that have been looked at since the last call.

    Returns:
        The findings, and a clause on what was looked at.
    """
    entries = Entries(dataset) if entries is None else entries
    if isinstance(dataset, ImageShards):
        shards = shard_findings(dataset, key)
        if shards:
            return shards, f"{len(dataset.shard_sizes)} shards"
        depth = Depth(depth.decoded, depth.decoded)
    read = spread(range(len(entries)), depth.read)
    decoded = set(spread(read, depth.decoded))
    look = Look(dataset)

    def look_at_entry(index: int) -> tuple[int, Faults]:
        paths = paths_of(entries[index])
        return len(paths), look.at(entries[index], paths, index in decoded) if paths else []

    files = 0
    faults: Faults = []
    for count, more in _in_threads(look_at_entry, read):
        files += count
        faults += more
        advance(1)
    findings = grouped(faults, key, files)
    if not reads_coco(type(dataset)):
        findings += repeated(key, (entries[index] for index in read), len(read))
    report = f"{len(read)} images, {len(decoded)} of them decoded"
    return findings, report + (f"; {files - len(read)} label maps" if files > len(read) else "")


def paths_of(entry: dict) -> list[str]:
    """Returns the paths of an image and its label map."""
    return [path for name in ("img_path", "seg_map_path") if isinstance(path := entry.get(name), str) and path]


def _in_threads(function: Callable[[int], Any], items: Iterable[int]) -> Iterator[Any]:
    rest = iter(items)
    with ThreadPoolExecutor(THREADS) as pool:
        while chunk := list(islice(rest, CHUNK)):
            yield from pool.map(function, chunk)


class Look:
    """What is looked for in the files of a data set."""

    def __init__(self, dataset: BaseDataset) -> None:
        self.dataset = dataset
        self.broken = SKIPPED if getattr(dataset, "skip_unreadable", False) else BROKEN
        self.loader = image_loader(dataset.pipeline.transforms)
        self.scales = first_scales(dataset.pipeline.transforms)
        self.checks_values = reads_label_maps(dataset)

    def at(self, entry: dict, paths: Sequence[str], decode: bool) -> Faults:
        """Returns what is wrong with the files of an entry, decoded or not."""
        ends = [] if "shard" in entry else [end_fault(path) for path in paths]
        if any(ends):
            return [(self.broken, Fault(path, end)) for path, end in zip(paths, ends, strict=True) if end]
        try:
            return list(self._decoded(entry)) if decode else []
        except UnreadableImageError as error:
            return [(self.broken, Fault(entry["img_path"], str(error)))]

    def _decoded(self, entry: dict) -> Iterator[tuple[Kind, Fault]]:
        path = entry["img_path"]
        # The strict decoder finds what OpenCV paints over. This package's own loader is as strict.
        if not isinstance(self.loader, LoadImage) and (reason := decode_fault(path)):
            raise UnreadableImageError(reason)
        size = loaded_size(self.loader, entry) if self.loader else None
        if size:
            fault = size_fault(self.loader, entry, size)
            yield from [fault] if fault else []
            scale = vanishing_scale(size, self.scales)
            if scale:
                yield VANISHES, Fault(path, f"{path}: {pixels(size)}, resized to {scale}")
        if entry.get("seg_map_path"):
            yield from self._label_map(entry, size)

    def _label_map(self, entry: dict, size: tuple[int, int] | None) -> Iterator[tuple[Kind, Fault]]:
        path = entry["seg_map_path"]
        try:
            label_map = read_label_map(path)
        except UnreadableImageError as error:
            yield self.broken, Fault(path, str(error))
            return
        if size and label_map.shape[:2] != size:
            message = f"{path}: {pixels(label_map.shape[:2])}, its image {pixels(size)}{turned(entry['img_path'])}"
            yield MAP_SIZE, Fault(path, message)
        fault = values_fault(path, label_map, self.dataset) if self.checks_values else None
        yield from [fault] if fault else []


def grouped(faults: Faults, key: str, total: int) -> list[Finding]:
    """Returns a finding for each kind among ``faults``."""
    kinds: dict[Kind, list[Fault]] = {}
    for kind, fault in faults:
        kinds.setdefault(kind, []).append(fault)
    return [finding for kind, cases in kinds.items() for finding in found(kind, key, total, cases)]


def repeated(key: str, entries: Iterable[dict], total: int) -> list[Finding]:
    """Finds images that a list names more than once."""
    labels: dict[str, Any] = {}
    double, two = [], []
    for entry in entries:
        path, label = str(entry.get("img_path")), entry.get("label")
        if path not in labels:
            labels[path] = label
        elif labels[path] == label:
            double.append(Fault(path, path))
        else:
            two.append(Fault(path, f"{path}: labels {labels[path]} and {label}"))
    return found(TWO_LABELS, key, total, two) + found(DOUBLE_ENTRY, key, total, double)


def shard_findings(dataset: ImageShards, key: str) -> list[Finding]:
    """Finds shards that are missing or cut short."""
    faults = [Fault(shard, fault) for shard in dataset.shard_sizes if (fault := shard_fault(dataset, shard))]
    return found(BROKEN_SHARD, key, len(dataset.shard_sizes), faults)
