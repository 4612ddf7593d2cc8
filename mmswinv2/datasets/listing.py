"""Lists the images that there are: in class folders, in any folder, in a list file, or in tar files.

An image is a line: its path and, if it has one, its label. So a set of millions is one block of text in memory.

The tar files are WebDataset's shards. Their index is made by Python's tarfile. wids, WebDataset's own reader by index,
is no longer part of it: it copies shards before it reads them, scans them at every start and decodes members by their
suffix, pickles included.
"""

import os
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from mmengine.fileio import get_local_path

from ..errors import ConfigError, DataError, name_some

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")


def class_folders(root: str) -> list[str]:
    """Returns the classes, as torchvision does: the sorted names of the folders right below ``root``, but hidden ones.

    Raises:
        DataError: There is no such folder, or none below it.
    """
    _check_folder(root)
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(
            f"{os.path.abspath(root)} has no folder of a class: mend data_root or data_prefix.img_path, name a list "
            "file in ann_file, or set with_label=False for images without labels"
        )
    return names


def class_folder_lines(root: str, classes: Sequence[str]) -> Iterator[str]:
    """Yields a line ``CLASS/NAME LABEL`` for each image in the folders of ``classes``, in their order.

    Raises:
        DataError: Classes have no folder, or no image in it. The message names the first few.
    """
    _check_folder(root)
    empty = []
    for label, name in enumerate(classes):
        paths = list(files_below(os.path.join(root, name), IMAGE_SUFFIXES))
        yield from (f"{name}/{path} {label}" for path in paths)
        if not paths:
            empty.append(name)
    if empty:
        raise DataError(
            f"{os.path.abspath(root)}: {len(empty)} of the {len(classes)} classes have no image: {name_some(empty)}. "
            "Fill or remove their folders, or list the classes to use in metainfo.classes"
        )


def folder_lines(root: str) -> Iterator[str]:
    """Yields the paths, relative to ``root``, of all images below it.

    Raises:
        DataError: There is no such folder.
    """
    _check_folder(root)
    yield from files_below(root, IMAGE_SUFFIXES)


def list_file_lines(path: str, backend_args: dict | None = None) -> Iterator[str]:
    """Yields the lines of a list file, empty ones left out."""
    for _, line in _numbered(path, backend_args):
        yield line


def labelled_list_file_lines(path: str, classes: int | None, backend_args: dict | None = None) -> Iterator[str]:
    """Yields the lines of a list file, each of which ends in a label.

    Args:
        path: The file.
        classes: How many classes there are; None: not known.
        backend_args: MMEngine's, for a file elsewhere.

    Raises:
        DataError: A line has no label, or one outside the classes. The message names file and line.
    """
    for number, line in _numbered(path, backend_args):
        parts = line.rsplit(maxsplit=1)
        if len(parts) < 2 or not parts[1].isdecimal():
            raise DataError(
                f"{path}, line {number}: {line!r} does not end in a label, an integer that counts from 0. Write "
                "'path label', or set with_label=False for images without labels"
            )
        if classes is not None and int(parts[1]) >= classes:
            raise DataError(
                f"{path}, line {number}: {line!r} has the label {parts[1]}, and metainfo.classes names {classes} "
                f"classes, 0 to {classes - 1}"
            )
        yield line


def files_below(folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Yields sorted paths, relative to ``folder``, of the files below it with one of ``suffixes``, but hidden ones."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(parent, folder)
        for name in sorted(names):
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield name if below == "." else f"{below}/{name}"


def _numbered(path: str, backend_args: dict | None) -> Iterator[tuple[int, str]]:
    """Pairs of (number of a line, the line)."""
    with (
        get_local_path(path, backend_args=backend_args) as local,
        open(local, encoding="utf-8", errors="surrogateescape") as file,
    ):
        for number, line in enumerate(file, 1):
            if line := line.rstrip():
                yield number, line


def _check_folder(root: str) -> None:
    if not root:
        raise ConfigError("A data set of images needs a folder: set data_root, or data_prefix=dict(img_path=FOLDER)")
    if not os.path.isdir(root):
        raise DataError(
            f"There is no folder {os.path.abspath(root)}: mend data_root or data_prefix.img_path of the data set. "
            "Images in remote storage need a list file (ann_file)"
        )


NO_LABEL = -1


def write_index(folder: str, index: str) -> int:
    """Writes the index of the shards below ``folder``, whole or not at all, and returns the number of images.

    Raises:
        DataError: As for :func:`index_lines`.
    """
    count, part = 0, f"{index}.part"
    with open(part, "w", encoding="utf-8", errors="surrogateescape") as file:
        for line in index_lines(folder):
            file.write(f"{line}\n")
            count += 1
    os.replace(part, index)
    return count


def index_lines(folder: str) -> Iterator[str]:
    """Yields a line ``SHARD/MEMBER OFFSET SIZE LABEL`` for each image in the tar files below ``folder``.

    The offset counts bytes from the shard's start. An image without a member KEY.cls beside it has the label -1.

    Raises:
        DataError: There is no shard, or one is not what it should be.
    """
    shards = list(files_below(folder, (".tar",)))
    if not shards:
        raise DataError(f"There is no .tar file below {os.path.abspath(folder)}")
    with ProcessPoolExecutor() as pool:
        for lines in pool.map(partial(index_shard, folder), shards):
            yield from lines


def index_shard(folder: str, shard: str) -> list[str]:
    """Returns the lines of one shard, whose path below ``folder`` is ``shard``."""
    path = os.path.join(folder, shard)
    images, labels = [], {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, suffix = split_member(member.name)
                if suffix in IMAGE_SUFFIXES:
                    images.append((key, member))
                elif suffix == ".cls":
                    labels[key] = _label(tar, member)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DataError(f"{path} is not an uncompressed tar file of images and labels: {error}") from error
    if not images:
        raise DataError(f"{path} holds no image")
    if labels and any(key not in labels for key, _ in images):
        raise DataError(f"{path}: some images have a label, a member KEY.cls, and some have none")
    return [
        f"{shard}/{member.name} {member.offset_data} {member.size} {labels.get(key, NO_LABEL)}"
        for key, member in images
    ]


def _label(tar: tarfile.TarFile, member: tarfile.TarInfo) -> int:
    content = tar.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name} is a folder or a device")
    return int(content.read())


def split_member(name: str) -> tuple[str, str]:
    """Returns the key of a member, its path up to the first dot in its file name, and its suffix in lower case."""
    folder, base = os.path.split(name)
    key, dot, suffix = base.partition(".")
    return os.path.join(folder, key), (dot + suffix).lower()


def split_line(line: str) -> tuple[str, str, int, int, int]:
    """Splits a line of the index into shard, member, offset and size in bytes, and label.

    Raises:
        DataError: The line has another form.
    """
    try:
        path, offset, size, label = line.rsplit(maxsplit=3)
        shard, _, member = path.partition(".tar/")
        return f"{shard}.tar", member, int(offset), int(size), int(label)
    except ValueError as error:
        raise DataError(
            f"{line!r} is no line of an index of shards, SHARD.tar/MEMBER OFFSET SIZE LABEL: write one by "
            "tools/index_shards.py"
        ) from error
