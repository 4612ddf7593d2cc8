"""Checkpoints of models of which each process holds a part: a folder in the place of a file.

The folder has a safetensors file of each process, written and read by ``torch.distributed.checkpoint``, and ``run.pth``
with all else: what a checkpoint file holds, with a description in the place of each tensor that is in parts. Nothing
in it is run. Any number of processes reads it, and so does a single one.

It is written beside its place and renamed when all of it is on the disk. ``run.pth`` comes last and has the checksums
of the other files, so a folder with a whole ``run.pth`` tells whether it is whole itself.
"""

import hashlib
import inspect
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor import empty as empty_in_parts

from ..errors import CheckpointError
from .archive import AGAIN, CHUNK, PARTIAL, check_archive, save_sealed, sync_folder
from .parts import mapped, mesh_of_parts
from .safe_pickle import load_pickle

RUN, FILES, IN_PARTS = "run.pth", "files", "in_parts"
REPLACED = "replaced_"  # begins the name of a folder while another takes its place


def can_write_parts() -> bool:
    """Whether this torch has what :func:`save_sharded` needs; older ones that this package takes have not."""
    writer = getattr(dcp, "HuggingFaceStorageWriter", None)
    return writer is not None and "save_distributed" in inspect.signature(writer).parameters


def is_sharded(path: Path) -> bool:
    """Whether a path is a folder that :func:`save_sharded` has written."""
    return (path / RUN).is_file()


def has_parts(checkpoint: Any) -> bool:
    """Whether a tensor in a checkpoint is in parts."""
    found: list[DTensor] = []
    mapped(checkpoint, lambda path, value: found.append(value) if isinstance(value, DTensor) else value)
    return bool(found)


def size_of(path: Path) -> int:
    """Bytes of a checkpoint, a file or a folder; 0 where this process does not see it."""
    files = path.iterdir() if path.is_dir() else [path] if path.exists() else []
    return sum(file.stat().st_size for file in files)


def save_sharded(checkpoint: dict[str, Any], folder: Path, iteration: int, resumable: bool) -> None:
    """Writes a checkpoint, by all processes together, into a folder that all of them see.

    Args:
        checkpoint: What the runner saves; the same in all processes, but for the parts of its tensors.
        folder: Its place. What is there is replaced at the end.
        iteration, resumable: For the seal of ``run.pth``, as in :func:`.archive.save_sealed`.

    Raises:
        OSError: It cannot be written. What was there is still there.
    """
    first, partial = distributed.get_rank() == 0, folder.with_name(folder.name + PARTIAL)
    parts: dict[str, DTensor] = {}

    def describe(path: tuple[Any, ...], value: Any) -> Any:
        if not isinstance(value, DTensor):
            return value
        name = "/".join(map(str, path))
        parts[name] = value
        return {IN_PARTS: name, "shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}

    rest = mapped(checkpoint, describe)
    with _together():
        if first:
            remove(partial)
            partial.mkdir(parents=True)
    with _together():
        dcp.save(parts, storage_writer=dcp.HuggingFaceStorageWriter(str(partial), save_distributed=True))
    with _together():
        mine = sorted(partial.glob("*.safetensors"))[distributed.get_rank() :: distributed.get_world_size()]
        sums: list[dict[str, str]] = [{} for _ in range(distributed.get_world_size())]
        distributed.all_gather_object(sums, {file.name: _checksum(file) for file in mine})
    with _together():
        if first:
            files = {name: checksum for some in sums for name, checksum in some.items()}
            save_sealed({**rest, FILES: files}, partial / RUN, iteration, resumable)
            sync_folder(partial)
            _put_in_place(partial, folder)


def load_sharded(folder: Path, source: str, map_location: Any) -> dict[str, Any]:
    """Reads what :func:`save_sharded` wrote: each process its part inside :func:`.parts.loading_parts`, else all of it.

    Args:
        folder: The checkpoint.
        source: What the user called it, for messages.
        map_location: As for :func:`torch.load`, for all that is not in parts. With ``meta``, nothing else is read.

    Raises:
        CheckpointError: A file of it is missing or damaged, or is not what ``run.pth`` says.
    """
    mesh = mesh_of_parts()
    content = load_pickle(folder / RUN, source, map_location)
    files, described = _files_of(content, source), str(map_location) == "meta"
    held = {} if described else _held(folder, source, files, mesh)
    parts: dict[str, Tensor] = {}

    def place(path: tuple[Any, ...], value: Any) -> Any:
        if not _is_description(value):
            return value
        name, shape, dtype = _described(path, value, source)
        if described:
            with _damage_named(source):  # more bytes than a number can tell
                return torch.empty(shape, dtype=dtype, device="meta")
        if held.get(name) != (shape, dtype):
            raise CheckpointError(f"{source}: its {RUN} describes {name} otherwise than its files hold it; {AGAIN}")
        parts[name] = tensor = (
            torch.empty(shape, dtype=dtype)
            if mesh is None
            else empty_in_parts(shape, dtype=dtype, device_mesh=mesh, placements=[Shard(0)])
        )
        return tensor

    whole = mapped({key: value for key, value in content.items() if key != FILES}, place)
    if described:
        return whole
    with _damage_named(source):
        dcp.load(parts, storage_reader=dcp.HuggingFaceStorageReader(str(folder)), no_dist=mesh is None)
    return whole


def check_whole(path: Path) -> None:
    """Finds out whether a checkpoint is whole: a file, or a folder that :func:`save_sharded` wrote.

    Raises:
        CheckpointError: The file, or one in the folder, is missing or damaged.
    """
    if not path.is_dir():
        check_archive(path)
        return
    if not is_sharded(path):
        raise CheckpointError(f"{path} is a folder without {RUN}, so it is no checkpoint")
    check_archive(path / RUN)
    _check_files(path, str(path), _files_of(load_pickle(path / RUN, str(path), "cpu"), str(path)), mesh=None)


def _is_description(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {IN_PARTS, "shape", "dtype"}


def _described(path: tuple[Any, ...], value: dict[str, Any], source: str) -> tuple[str, torch.Size, torch.dtype]:
    """Name, shape and type of a tensor that is in parts, as ``run.pth`` describes it."""
    name, shape, dtype = "/".join(map(str, path)), value["shape"], getattr(torch, str(value["dtype"]), None)
    is_shape = isinstance(shape, list) and all(type(side) is int and side >= 0 for side in shape)
    if value[IN_PARTS] != name or not is_shape or not isinstance(dtype, torch.dtype):
        raise CheckpointError(f"{source}: what its {RUN} says of {name} describes no tensor; {AGAIN}")
    return name, torch.Size(shape), dtype


def _files_of(content: Any, source: str) -> dict[str, str]:
    """The names of the other files, with their checksums."""
    files = content.get(FILES) if isinstance(content, dict) else None
    if not isinstance(files, dict) or not all(isinstance(text, str) for item in files.items() for text in item):
        raise CheckpointError(f"{source}: its {RUN} does not name its other files; {AGAIN}")
    return files


def _held(
    folder: Path, source: str, files: Mapping[str, str], mesh: DeviceMesh | None
) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Checks the other files, and returns shapes and types of the tensors that they hold together."""
    _check_files(folder, source, files, mesh)
    with _damage_named(source):
        found = dcp.HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
        tensors = {name: one for name, one in found.items() if isinstance(one, TensorStorageMetadata)}
        return {name: (one.size, one.properties.dtype) for name, one in tensors.items()}


@contextmanager
def _damage_named(source: str) -> Iterator[None]:
    """Turns whatever a reader raises at a damaged file into a :class:`CheckpointError`."""
    try:
        yield
    except Exception as error:
        raise CheckpointError(f"{source}: cannot be read ({_reason(error)}); {AGAIN}") from error


def _check_files(folder: Path, source: str, files: Mapping[str, str], mesh: DeviceMesh | None) -> None:
    """Compares the checksums of all files, several processes each some of them."""
    rank, count = (0, 1) if mesh is None else (mesh.get_rank(), mesh.size())
    fault = next(filter(None, (_fault(folder, name, files[name]) for name in sorted(files)[rank::count])), None)
    others = {file.name for file in folder.glob("*.safetensors")} - set(files)
    fault = fault or (f"{RUN} does not name {min(others)}, which is in the folder" if others else None)
    faults = [fault]
    if mesh is not None:
        faults = [None] * count
        distributed.all_gather_object(faults, fault)
    for told in faults:
        if told is not None:
            raise CheckpointError(f"{source}: {told}; {AGAIN}")


def _fault(folder: Path, name: str, checksum: str) -> str | None:
    """What is wrong with a file of the folder; None: nothing."""
    file = folder / name
    if Path(name).name != name or not name.endswith(".safetensors"):
        return f"{RUN} names {name!r}, which is no file of the folder"
    if not file.is_file():
        return f"{name} is missing, the part of one process"
    return None if _checksum(file) == checksum else f"{name} is damaged, its checksum (SHA-256) is wrong"


def _checksum(file: Path) -> str:
    found = hashlib.sha256()
    with open(file, "rb") as opened:
        while part := opened.read(CHUNK):
            found.update(part)
    return found.hexdigest()


@contextmanager
def _together() -> Iterator[None]:
    """Ends when all processes have come to the end; if one raises, all raise."""
    error: BaseException | None = None
    try:
        yield
    except Exception as caught:  # told to the others, then raised
        error = caught
    told: list[str | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(told, None if error is None else _reason(error))
    if error is not None:
        raise error
    for rank, reason in enumerate(told):
        if reason is not None:
            raise OSError(f"process {rank} could not write its part: {reason}")


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _put_in_place(partial: Path, folder: Path) -> None:
    """Renames the new folder. One that has the name already is put aside first, where ``--resume`` finds it."""
    if folder.exists():
        aside = folder.with_name(REPLACED + folder.name)
        remove(aside)
        os.replace(folder, aside)
    os.replace(partial, folder)
    sync_folder(folder.parent)
    for aside in folder.parent.glob(f"{REPLACED}*.pth"):
        if is_sharded(aside):  # a file of that name is the user's
            remove(aside)


def remove(path: Path) -> None:
    """Removes a checkpoint, a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
