"""The zip archive that ``torch.save`` writes: writing it whole or not at all, and finding out whether it is whole.

A checkpoint of a run is written beside its place, synced to the disk and renamed. So a kill or a loss of power leaves
the old file or the new one, never half of it. The archive's comment, which torch does not look at, is its
:class:`Seal`: how far the run was, and a SHA-256 of all bytes before it. Archives without a seal, as others write
them, have the checksums of their records.
"""

import hashlib
import json
import logging
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any, BinaryIO

import torch
from mmengine.logging import print_log

from ..errors import CheckpointError

AGAIN = "copy or download it again"
ZIP = b"PK\x03\x04"  # torch.save since 1.6
PICKLE = b"\x80"  # torch.save before, and plain pickles
PARTIAL = ".partial"  # what a file is called until it is whole
CHUNK = 2**22  # bytes read at once
END, END_SIZE = b"PK\x05\x06", 22  # an archive's last record without its comment, whose length takes the last 2 bytes
MAX_COMMENT = 2**16


@dataclass(frozen=True)
class Seal:
    """What a checkpoint of a run says of itself, readable without its tensors.

    Attributes:
        iter: Iterations that the run had done.
        resumable: Whether it holds the optimizer's state too, so that a run can go on from it.
        sha256: Checksum of the archive without the seal, and of the two numbers above.
    """

    iter: int
    resumable: bool
    sha256: str


def _comment(seal: Seal) -> bytes:
    """What stands in the archive's comment."""
    return json.dumps({"mmswinv2": asdict(seal)}).encode()


def _digest(archive: Any, iteration: int, resumable: bool) -> str:
    """The checksum in a seal, from the running one of the archive."""
    archive.update(f"{iteration} {resumable}".encode())
    return str(archive.hexdigest())


class _Hashed:
    """A file that keeps the checksum of what is written to it, from its beginning to its end."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sum = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sum.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file whole or not at all, also if the process is killed or the machine loses power.

    Args:
        path: The file; what is there is replaced at the end.
        write: Writes its content.

    Raises:
        OSError: The file cannot be written. Nothing of it stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    try:
        with open(partial, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # the kernel knows descriptors alone
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a new name in a folder last. Without this, a loss of power may take the name away again."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_sealed(content: Any, path: Path, iteration: int, resumable: bool) -> None:
    """``torch.save``, whole or not at all, with a :class:`Seal`.

    Raises:
        OSError: The file cannot be written.
    """

    def write(file: BinaryIO) -> None:
        hashed = _Hashed(file)
        torch.save(content, hashed)  # type: ignore[arg-type] # it needs no more of a file
        seal = Seal(iteration, resumable, _digest(hashed.sum, iteration, resumable))
        comment = _comment(seal)
        file.seek(-2, os.SEEK_CUR)
        file.write(struct.pack("<H", len(comment)) + comment)

    write_whole(path, write)


def read_seal(path: Path, source: str) -> Seal | None:
    """The seal of an archive, whose checksum is not looked at; None if it has none.

    Args:
        path: The file.
        source: What the user called it, for messages.

    Raises:
        CheckpointError: The archive is cut short.
    """
    with open(path, "rb") as file:
        if file.read(1) == PICKLE:
            return None
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END_SIZE - MAX_COMMENT))
        tail = file.read()
    end = tail.rfind(END)
    if end < 0 or end + END_SIZE > len(tail):
        raise CheckpointError(f"{source}: damaged, cut short (the end of the archive is missing); {AGAIN}")
    (length,) = struct.unpack_from("<H", tail, end + END_SIZE - 2)
    comment = tail[end + END_SIZE :]
    if len(comment) != length:
        raise CheckpointError(f"{source}: damaged, cut short or with something appended; {AGAIN}")
    try:
        seal = Seal(**json.loads(comment)["mmswinv2"])
    except (ValueError, TypeError, KeyError):  # the comment is another's
        return None
    return seal if isinstance(seal.iter, int) and isinstance(seal.sha256, str) else None


def check_archive(path: Path) -> None:
    """Finds out whether a file of ``torch.save`` is whole, by its seal or by the checksums of its records.

    A file in torch's older format has neither: what is wrong with it shows when it is read.

    Raises:
        CheckpointError: The file is damaged, cut short or no archive of ``torch.save``. It says which.
    """
    with open(path, "rb") as file:
        older = file.read(1) == PICKLE
    if not older:
        read_pickle(path, str(path))


def read_pickle(path: Path, source: str) -> bytes:
    """The pickle in an archive of ``torch.save``, all of which is whole.

    Args:
        path: The file.
        source: What the user called it, for messages.

    Raises:
        CheckpointError: The archive is damaged, or not as ``torch.save`` writes it.
    """
    try:
        seal = read_seal(path, source)
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            records = _records(archive, path.stat().st_size, source)
            if seal is not None:
                _check_seal(file, seal, source)
            else:
                _check_records(file, records, source)
            folder = next(iter(records)).partition("/")[0]
            return b"".join(_parts(file, records[f"{folder}/data.pkl"]))
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file raises anything
        reason = ascii((str(error) or type(error).__name__).splitlines()[0])[1:-1]
        raise CheckpointError(
            f"{source}: damaged, cut short or not written by torch.save ({reason}); {AGAIN}"
        ) from error


def _records(archive: zipfile.ZipFile, size: int, source: str) -> dict[str, zipfile.ZipInfo]:
    """The records of an archive by name; torch ignores case in names as well."""
    records = {record.filename.lower(): record for record in archive.infolist()}
    if any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
        how = "torch.save never does, TorchScript does: save the state dict alone with torch.save"
        raise CheckpointError(f"{source}: its records are compressed, which {how}")
    if sum(record.file_size for record in records.values()) > size or len(records) < len(archive.infolist()):
        raise CheckpointError(f"{source}: damaged, its records overlap or have one name; {AGAIN}")
    return records


def _check_seal(file: BinaryIO, seal: Seal, source: str) -> None:
    """Compares the checksum of all bytes but the seal's with the seal."""
    left = file.seek(0, os.SEEK_END) - len(_comment(seal)) - 2
    file.seek(0)
    found = hashlib.sha256()
    while left > 0:
        part = file.read(min(CHUNK, left))
        found.update(part)
        left -= len(part)
    found.update(b"\0\0")  # the length of a comment that was not there yet
    if _digest(found, seal.iter, seal.resumable) != seal.sha256:
        raise CheckpointError(f"{source}: damaged, its checksum (SHA-256) is wrong; {AGAIN}")


def _check_records(file: BinaryIO, records: dict[str, zipfile.ZipInfo], source: str) -> None:
    """Compares the checksum of each record with the archive's."""
    if not any(record.CRC for record in records.values()):  # torch.serialization.set_crc32_options(False)
        message = f"{source} was saved without checksums: nobody can tell whether it is damaged"
        print_log(message, logger="current", level=logging.WARNING)
        return
    for record in records.values():
        if reduce(lambda checksum, part: zlib.crc32(part, checksum), _parts(file, record), 0) != record.CRC:
            name = ascii(record.filename)[1:-1]  # flipped bits make other characters
            raise CheckpointError(f"{source}: damaged, the checksum of {name} is wrong; {AGAIN}")


def _parts(file: BinaryIO, record: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of a record that is not compressed."""
    file.seek(record.header_offset + 26)  # where the header tells the lengths of what follows it, before the data
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(name + extra, os.SEEK_CUR)
    for start in range(0, record.file_size, CHUNK):
        yield file.read(min(CHUNK, record.file_size - start))
