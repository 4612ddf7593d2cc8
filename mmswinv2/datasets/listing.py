"""Which images there are: in class folders, in any folder, or in a list file.

An image is a line, its path and where it has one its label, so that a set of millions is one block of text in memory.
"""

import os
from collections.abc import Iterator, Sequence

from mmengine.fileio import get_local_path

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
NAMED = 5


def class_folders(root: str) -> list[str]:
    """Sorted names of the folders directly below ``root``, hidden ones left out: the classes, as torchvision has them.

    Raises:
        ValueError: There is no such folder, or none below it.
    """
    _check_folder(root)
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ValueError(
            f"{os.path.abspath(root)} has no folder of a class: mend data_root or data_prefix.img_path, name a list "
            "file in ann_file, or set with_label=False for images without labels"
        )
    return names


def class_folder_lines(root: str, classes: Sequence[str]) -> Iterator[str]:
    """Lines ``CLASS/NAME LABEL`` of all images in the folders of ``classes``, in their order.

    Raises:
        ValueError: A class without a folder, or without an image in it; the first ones are named.
    """
    _check_folder(root)
    empty = []
    for label, name in enumerate(classes):
        paths = list(files_below(os.path.join(root, name), IMAGE_SUFFIXES))
        yield from (f"{name}/{path} {label}" for path in paths)
        if not paths:
            empty.append(name)
    if empty:
        named = ", ".join(empty[:NAMED]) + (" ..." if len(empty) > NAMED else "")
        raise ValueError(
            f"{os.path.abspath(root)}: {len(empty)} of the {len(classes)} classes have no image: {named}. Fill or "
            "remove their folders, or list the classes to use in metainfo.classes"
        )


def folder_lines(root: str) -> Iterator[str]:
    """Paths, relative to ``root``, of all images below it.

    Raises:
        ValueError: There is no such folder.
    """
    _check_folder(root)
    yield from files_below(root, IMAGE_SUFFIXES)


def list_file_lines(path: str, backend_args: dict | None = None) -> Iterator[str]:
    """The lines of a list file, empty ones left out."""
    for _, line in _numbered(path, backend_args):
        yield line


def labelled_list_file_lines(path: str, classes: int | None, backend_args: dict | None = None) -> Iterator[str]:
    """The lines of a list file, each of which ends in a label.

    Args:
        path: The file.
        classes: How many classes there are; None: not known.
        backend_args: MMEngine's, for a file elsewhere.

    Raises:
        ValueError: A line without a label, or with one outside the classes; file and line are named.
    """
    for number, line in _numbered(path, backend_args):
        parts = line.rsplit(maxsplit=1)
        if len(parts) < 2 or not parts[1].isdecimal():
            raise ValueError(
                f"{path}, line {number}: {line!r} does not end in a label, an integer that counts from 0. Write "
                "'path label', or set with_label=False for images without labels"
            )
        if classes is not None and int(parts[1]) >= classes:
            raise ValueError(
                f"{path}, line {number}: {line!r} has the label {parts[1]}, and metainfo.classes names {classes} "
                f"classes, 0 to {classes - 1}"
            )
        yield line


def files_below(folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Paths, relative to ``folder``, of the files below it that end in ``suffixes``, sorted, hidden ones left out."""
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
        raise ValueError("A data set of images needs a folder: set data_root, or data_prefix=dict(img_path=FOLDER)")
    if not os.path.isdir(root):
        raise ValueError(
            f"There is no folder {os.path.abspath(root)}: mend data_root or data_prefix.img_path of the data set. "
            "Images in remote storage need a list file (ann_file)"
        )
