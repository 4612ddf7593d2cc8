"""The checkpoints in the folder of a run: which is the newest, whether it is whole, and what a kill left behind.

Only what a checkpoint says of itself counts: its seal, else its name. Neither the file ``last_checkpoint``, which may
be lost or empty, nor times of files, which follow clocks, decide what is newest.
"""

import itertools
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import CheckpointError
from .archive import PARTIAL, read_seal
from .sharded import RUN, check_whole, remove

LAST = "last_checkpoint"  # MMEngine's file with the path of the checkpoint that it wrote last
NUMBERED = re.compile(r"(iter|epoch)_([0-9]+)\.pth")


class Newest(NamedTuple):
    """What was found in the folders of a run.

    Attributes:
        path: The newest checkpoint that is whole; None if there is none.
        passed_over: A sentence for each newer one that is not whole: the file, and why.
    """

    path: Path | None
    passed_over: list[str]


def newest_whole(folders: Iterable[Path]) -> Newest:
    """The newest checkpoint of a run from which it can go on.

    A newer one that is damaged is passed over, and one of which not even the seal is left, whatever its age.

    Args:
        folders: Where the run's checkpoints lie. Those that do not exist are left out.
    """
    passed_over: list[str] = []
    for path, _ in sorted(resumable(folders).items(), key=lambda item: item[1], reverse=True):
        try:
            check_whole(path)
            return Newest(path, passed_over)
        except CheckpointError as error:
            passed_over.append(str(error))
    return Newest(None, passed_over)


def resumable(folders: Iterable[Path]) -> dict[Path, float]:
    """What holds the state of a run, with the iterations that it had done, infinite where none can tell.

    MMEngine's own have no seal. They are known by their names; all of a run are named alike, so the number in the
    name, of iterations or epochs, is as good.
    """
    paths = {path.resolve(): path for folder in folders for path in sorted(folder.glob("*.pth"))}
    found = {}
    for path in paths.values():
        match = NUMBERED.fullmatch(path.name)
        try:
            seal = read_seal(path / RUN if path.is_dir() else path, str(path))
        except (CheckpointError, OSError):
            if match:
                found[path] = math.inf
            continue
        if seal is not None and seal.resumable:
            found[path] = float(seal.iter)
        elif seal is None and match:
            found[path] = float(match[2])
    return found


def numbered_checkpoints(folder: str) -> list[Path]:
    """The checkpoints of a run in its work dir, oldest first by the number in their names, not by any clock."""
    found = ((NUMBERED.fullmatch(path.name), path) for path in Path(folder).glob("*.pth"))
    return [path for _, path in sorted((int(match[2]), path) for match, path in found if match)]


def set_aside(folder: Path) -> dict[Path, Path]:
    """Moves what an earlier run has saved into a folder of its own, ``earlier_1``, ``earlier_2`` and so on.

    A new run would overwrite the checkpoints one by one, and ``--resume`` would go on from those with higher numbers.

    Returns:
        From the old path to the new one, both absolute.
    """
    folder = folder.resolve()
    files = [*resumable([folder]), *folder.glob("best_*.pth")]
    if not files:
        return {}
    count = next(number for number in itertools.count(1) if not (folder / f"earlier_{number}").exists())
    place = folder / f"earlier_{count}"
    place.mkdir()
    moved = {}
    for path in [*files, folder / LAST]:
        if path.exists():
            moved[path] = path.rename(place / path.name)
    return moved


def last_written(folder: Path) -> str | None:
    """The path or address in MMEngine's file ``last_checkpoint``; None if the file is gone or empty."""
    file = folder / LAST
    text = file.read_text(errors="replace").strip("\0 \n") if file.is_file() else ""
    return text or None


def remove_partial(folders: Iterable[Path]) -> list[Path]:
    """Removes what saves that were killed have left, and returns it."""
    left = [path for folder in folders for path in folder.glob(f"*.pth{PARTIAL}")]
    for path in left:
        remove(path)
    return left
