"""Workers of data loaders that die or hang: the run stops, with a sentence that names the image they were at.

Each worker notes the path of the image that it reads in memory that it shares with the run's process, and clears it
when the sample is done. torch tells that a worker died, or that a batch has not come for a time; the notes tell more.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner
from torch.utils.data import DataLoader, get_worker_info

from ..errors import TrainingError, name_some
from ..upstream import WorkerFault, innermost_datasets, worker_fault

TIMEOUT = 300  # seconds for a batch, which takes less than one as a rule
PATH_BYTES = 1024
PID_BYTES = 8
PATIENCE = 1  # seconds for torch to tell of a worker's end: the system does so within milliseconds
# What to look at, by how a worker ended.
ADVICE = {
    "Killed": "As a rule the machine had no memory left (see dmesg): set a smaller num_workers or prefetch_factor",
    "Bus error": "As a rule /dev/shm is too small: make it larger (docker run --shm-size) or set a smaller num_workers",
    "Segmentation fault": "A library crashed on its data: look at that image, and run with num_workers=0 to see where",
    "": "The machine may have had no memory left (see dmesg). Run with num_workers=0 to see an error of its own",
}


class Notes:
    """What the workers of one data loader are reading.

    Args:
        workers: How many there are.
    """

    def __init__(self, workers: int) -> None:
        self.rows = torch.zeros(workers, PID_BYTES + PATH_BYTES, dtype=torch.uint8).share_memory_()

    def write(self, worker: int, path: str) -> None:
        """Notes a path of this process, which is a worker; an empty one says that it reads nothing."""
        text = os.getpid().to_bytes(PID_BYTES, "little") + path.encode("utf-8", "surrogateescape")[:PATH_BYTES]
        row = bytearray(text.ljust(PID_BYTES + PATH_BYTES, b"\0"))
        self.rows[worker] = torch.frombuffer(row, dtype=torch.uint8)

    def read(self) -> dict[int, str]:
        """Returns the process id and the path of every worker that reads one."""
        rows = [row.numpy().tobytes() for row in self.rows]
        paths = {row[:PID_BYTES]: row[PID_BYTES:].rstrip(b"\0").decode("utf-8", "replace") for row in rows}
        return {int.from_bytes(pid, "little"): path for pid, path in paths.items() if path}


WATCHED: list[Notes] = []  # of all data loaders of this process


def watch_workers(runner: Runner) -> Runner:
    """Lets a runner build data loaders whose workers note what they read, and which wait for a batch :data:`TIMEOUT`.

    A ``timeout`` in the config of a data loader, in seconds, takes the place of that.

    Returns:
        The runner.
    """
    runner.build_dataloader = partial(_build_watched, runner.build_dataloader)
    return runner


def _build_watched(build: Callable[..., DataLoader], dataloader: Any, *args: Any, **kwargs: Any) -> DataLoader:
    """Builds a data loader. One that is built already stays as it is, as in MMEngine."""
    if isinstance(dataloader, DataLoader) or not dataloader.get("num_workers"):
        return build(dataloader, *args, **kwargs)
    loader = build({"timeout": TIMEOUT, **dataloader}, *args, **kwargs)
    notes = Notes(loader.num_workers)
    WATCHED.append(notes)
    loader.worker_init_fn = partial(_begin, notes, loader.worker_init_fn)
    return loader


def _begin(notes: Notes, begin: Callable[[int], None] | None, worker: int) -> None:
    """Runs in a worker when it starts: from here on every data set in it notes what it reads."""
    if begin is not None:
        begin(worker)
    info = get_worker_info()
    assert info is not None  # this is a worker
    for _, dataset in innermost_datasets("", info.dataset):
        if isinstance(dataset, BaseDataset):
            dataset.get_data_info = _noting_begin(dataset.get_data_info, partial(notes.write, worker))
            dataset.prepare_data = _noting_end(dataset.prepare_data, partial(notes.write, worker))


def _noting_begin(get_data_info: Callable[[int], dict], write: Callable[[str], None]) -> Callable[[int], dict]:
    def noting(idx: int) -> dict:
        entry = get_data_info(idx)
        write(str(entry.get("img_path", "")))
        return entry

    return noting


def _noting_end(prepare_data: Callable[[int], Any], write: Callable[[str], None]) -> Callable[[int], Any]:
    def noting(idx: int) -> Any:
        try:
            return prepare_data(idx)
        finally:
            write("")

    return noting


@contextmanager
def worker_faults_named() -> Iterator[None]:
    """Turns torch's errors of data loaders' workers into a :class:`TrainingError`.

    Raises:
        TrainingError: A worker died or hangs. The message names the image that it was reading, if there is one.
    """
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        fault = worker_fault(error) or _fault_told_late()
        if fault is None:
            raise
        reading = {pid: path for notes in WATCHED for pid, path in notes.read().items()}
        raise TrainingError(_describe(fault, reading)) from error


def _fault_told_late() -> WorkerFault | None:
    """Waits for torch to tell of a worker's end.

    The connection to a worker that dies may break before the system tells that it died, and what is raised then, such
    as a ConnectionResetError, says nothing of a worker.
    """
    if not WATCHED:
        return None
    try:
        time.sleep(PATIENCE)  # torch raises in here: it handles SIGCHLD
    except RuntimeError as error:
        return worker_fault(error)
    return None


def _describe(fault: WorkerFault, reading: dict[int, str]) -> str:
    """What the user reads."""
    if fault.seconds is not None:
        images = name_some(sorted(set(reading.values())))
        return (
            f"The workers of a data loader have not made a batch for {fault.seconds:g} s. "
            + (f"They are at {images}. " if images else "None of them is at an image. ")
            + "Is the disk or the network mount alive? If a batch may take that long, set timeout=SECONDS in that data "
            "loader of the config. --resume goes on from the last checkpoint"
        )
    images = name_some(path for pid, path in reading.items() if pid in fault.pids)
    where = f" while it was at {images}" if images else ""
    advice = next((text for name, text in ADVICE.items() if name in fault.reason), ADVICE[""])
    return f"A worker of a data loader {fault.reason}{where}. {advice}. --resume goes on from the last checkpoint"
