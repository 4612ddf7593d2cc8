"""Where in its tar file each image of a sharded set lies.

The shards are WebDataset's, the index is made by Python's tarfile. wids, WebDataset's own reader by index, is no longer
part of it: it copies shards before it reads them, scans them at every start and decodes members by their suffix,
pickles included.
"""

import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from .listing import IMAGE_SUFFIXES, files_below

NO_LABEL = -1


def write_index(folder: str, index: str) -> int:
    """Writes the index of the shards below ``folder``, whole or not at all; returns the number of images.

    Raises:
        ValueError: As :func:`index_lines`.
    """
    count, part = 0, f"{index}.part"
    with open(part, "w", encoding="utf-8", errors="surrogateescape") as file:
        for line in index_lines(folder):
            file.write(f"{line}\n")
            count += 1
    os.replace(part, index)
    return count


def index_lines(folder: str) -> Iterator[str]:
    """A line ``SHARD/MEMBER OFFSET SIZE LABEL`` for each image in the tar files below ``folder``.

    The offset counts bytes from the shard's start. Without a member KEY.cls beside it, an image's label is -1.

    Raises:
        ValueError: There is no shard, or one is not what it should be.
    """
    shards = list(files_below(folder, (".tar",)))
    if not shards:
        raise ValueError(f"There is no .tar file below {os.path.abspath(folder)}")
    with ProcessPoolExecutor() as pool:
        for lines in pool.map(partial(index_shard, folder), shards):
            yield from lines


def index_shard(folder: str, shard: str) -> list[str]:
    """The lines of one shard, ``shard`` being its path below ``folder``."""
    path = os.path.join(folder, shard)
    images, labels = [], {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, suffix = split_member(member.name)
                if suffix in IMAGE_SUFFIXES:
                    images.append((key, member))
                elif suffix == ".cls":
                    labels[key] = int(tar.extractfile(member).read())
    except (tarfile.TarError, OSError, ValueError) as error:
        raise ValueError(f"{path} is not an uncompressed tar file of images and labels: {error}") from error
    if not images:
        raise ValueError(f"{path} holds no image")
    if labels and any(key not in labels for key, _ in images):
        raise ValueError(f"{path}: some images have a label, a member KEY.cls, and some have none")
    return [
        f"{shard}/{member.name} {member.offset_data} {member.size} {labels.get(key, NO_LABEL)}"
        for key, member in images
    ]


def split_member(name: str) -> tuple[str, str]:
    """The key of a member, its path up to the first dot of its last part, and its suffix in lower case."""
    folder, base = os.path.split(name)
    key, dot, suffix = base.partition(".")
    return os.path.join(folder, key), (dot + suffix).lower()


def split_line(line: str) -> tuple[str, str, int, int, int]:
    """Shard, member, offset and size in bytes, and label of a line of the index.

    Raises:
        ValueError: It is no such line.
    """
    try:
        path, offset, size, label = line.rsplit(maxsplit=3)
        shard, _, member = path.partition(".tar/")
        return f"{shard}.tar", member, int(offset), int(size), int(label)
    except ValueError as error:
        raise ValueError(
            f"{line!r} is no line of an index of shards, SHARD.tar/MEMBER OFFSET SIZE LABEL: write one by "
            "tools/index_shards.py"
        ) from error
