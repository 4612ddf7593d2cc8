"""A checkpoint is written whole or not at all, and its seal tells whether it still is."""

import errno
import itertools
import multiprocessing
import os
import random
import resource
import signal
import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from mmswinv2.checkpoint import check_whole, read_checkpoint
from mmswinv2.checkpoint.archive import PARTIAL, Seal, read_seal, save_sealed, write_whole
from mmswinv2.errors import CheckpointError

CONTENT = {"state_dict": {"a.weight": torch.arange(1000.0)}, "optimizer": {}, "meta": {"iter": 7}}


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    save_sealed(CONTENT, tmp_path / "iter_7.pth", 7, resumable=True)
    return tmp_path / "iter_7.pth"


def test_a_seal_tells_how_far_the_run_was(sealed: Path) -> None:
    seal = read_seal(sealed, "")
    assert isinstance(seal, Seal) and seal.iter == 7 and seal.resumable
    check_whole(sealed)


def test_a_sealed_checkpoint_is_torch_s_own(sealed: Path) -> None:
    """Anybody reads it, by torch alone."""
    for content in (torch.load(sealed, weights_only=True), read_checkpoint(str(sealed)).content):
        assert torch.equal(content["state_dict"]["a.weight"], CONTENT["state_dict"]["a.weight"])


def test_an_archive_of_others_has_no_seal(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "w.pth")
    assert read_seal(tmp_path / "w.pth", "") is None
    check_whole(tmp_path / "w.pth")


def test_any_flipped_bit_breaks_the_seal(sealed: Path) -> None:
    """In the tensors, the names, the directory, the padding, or the seal itself."""
    data, draw = sealed.read_bytes(), random.Random(0)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        sealed.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"iter_7\.pth: (damaged|cut short|its records)"):
            _refuse_broken_seal(sealed)


def _refuse_broken_seal(path: Path) -> None:
    """A flipped bit in the seal's own words makes it no seal; then the records' checksums stand in for it."""
    check_whole(path)
    if read_seal(path, "") is None:
        raise CheckpointError(f"{path.name}: damaged, its seal is none")


@pytest.mark.parametrize("left", [0, 1, 100, 5000, -100, -22, -1])
def test_a_file_cut_short_is_found_out(sealed: Path, left: int) -> None:
    """Also where only a part of the seal is missing, or all of it: the archive before it is whole then."""
    sealed.write_bytes(sealed.read_bytes()[:left])
    with pytest.raises(CheckpointError, match=r"cut short|damaged"):
        check_whole(sealed)


def test_a_file_whose_blocks_are_zero_is_found_out(sealed: Path) -> None:
    """What some file systems leave after a loss of power: the size is right, the content is not there."""
    size = sealed.stat().st_size
    for kept in (0, size // 2):
        sealed.write_bytes(sealed.read_bytes()[:kept] + bytes(size - kept))
        with pytest.raises(CheckpointError, match=r"cut short|damaged"):
            check_whole(sealed)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write(file: BinaryIO) -> None:
        file.write(b"new")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space left.*file'$"):
        write_whole(path, write)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_full_quota_leaves_the_old_file(sealed: Path) -> None:
    """The kernel itself refuses to write on, in the middle of ``torch.save``."""
    before, limits = sealed.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OSError, match=f"File too large: '{sealed}'"):
            save_sealed(CONTENT, sealed, 8, resumable=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert sealed.read_bytes() == before and list(sealed.parent.iterdir()) == [sealed]


def _write_for_ever(path: Path, written: Any) -> None:
    torch.set_num_threads(1)
    for step in itertools.count(1):
        save_sealed({"x": torch.full((500_000,), float(step))}, path, step, resumable=True)
        written.set()


def test_a_kill_while_it_is_written_leaves_a_whole_file(tmp_path: Path) -> None:
    """Killed at twenty random moments of writing again and again: what bears the name is always whole."""
    path, draw, partial = tmp_path / "iter_1.pth", random.Random(1), 0
    fork = multiprocessing.get_context("fork")
    for _ in range(20):
        written = fork.Event()
        process = fork.Process(target=_write_for_ever, args=(path, written))
        process.start()
        assert written.wait(60)
        time.sleep(draw.uniform(0, 0.02))
        process.kill()
        process.join()
        check_whole(path)
        content = torch.load(path, weights_only=True)["x"]
        assert (content == read_seal(path, "").iter).all()
        partial += path.with_name(path.name + PARTIAL).exists()
    assert partial  # else no kill came while a file was being written
