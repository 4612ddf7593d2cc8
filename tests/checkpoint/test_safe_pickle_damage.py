"""A damaged archive of torch is refused by its checksums, which torch itself does not look at."""

import io
import random
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.errors import CheckpointError

WEIGHTS = {f"layers.{index}.weight": torch.arange(100.0) for index in range(5)}


def assert_whole(content: dict[str, torch.Tensor]) -> None:
    assert content.keys() == WEIGHTS.keys()
    assert all(torch.equal(content[name], tensor) for name, tensor in WEIGHTS.items())


def test_no_flipped_bit_changes_a_value(tmp_path: Path) -> None:
    """What still loads was flipped between the records; most flips hit a value, and torch loads most of those."""
    path, buffer, draw = tmp_path / "w.pth", io.BytesIO(), random.Random(0)
    torch.save(WEIGHTS, buffer)
    refused = changed_in_torch = 0
    for _ in range(200):
        damaged = bytearray(buffer.getvalue())
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            assert_whole(read_checkpoint(str(path)).content)
        except CheckpointError:
            refused += 1
            with suppress(Exception):  # where torch finds the damage as well, it raises anything
                found = torch.load(path, weights_only=True)
                changed_in_torch += any(not torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)
    assert refused > 60
    assert changed_in_torch > 40  # else the test proves nothing


def test_the_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(WEIGHTS, path)
    value = torch.tensor([97.0, 98.0]).numpy().tobytes()
    path.write_bytes(path.read_bytes().replace(value, b"x" + value[1:], 1))
    with pytest.raises(CheckpointError, match=r"w\.pth: damaged, the checksum of w/data/0 is wrong; copy or download"):
        read_checkpoint(str(path))


def test_a_file_without_checksums_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """torch can leave them out, all of them."""
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(WEIGHTS, tmp_path / "w.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    MMLogger.get_instance("checksums").addHandler(caplog.handler)
    assert_whole(read_checkpoint(str(tmp_path / "w.pth")).content)
    assert "w.pth was saved without checksums: nobody can tell whether it is damaged" in caplog.text


def rewritten(path: Path, compression: int = zipfile.ZIP_STORED, twice: str = "") -> Path:
    """A checkpoint packed by another program."""
    buffer = io.BytesIO()
    torch.save(WEIGHTS, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", compression) as target:
        for record in source.infolist():
            target.writestr(record.filename, source.read(record))
            if record.filename.endswith(twice or "/"):
                target.writestr(record.filename.upper(), source.read(record))
    return path


def test_an_archive_of_another_program_is_read(tmp_path: Path) -> None:
    """As long as it only stores."""
    assert_whole(read_checkpoint(str(rewritten(tmp_path / "w.pth"))).content)


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"its records are compressed, which torch\.save never does"):
        read_checkpoint(str(rewritten(tmp_path / "w.pth", zipfile.ZIP_DEFLATED)))


def test_two_records_of_one_name_are_refused(tmp_path: Path) -> None:
    """torch could read another one than was checked: it takes capitals for the same."""
    with pytest.raises(CheckpointError, match="its records overlap or have one name"):
        read_checkpoint(str(rewritten(tmp_path / "w.pth", twice="data.pkl")))
