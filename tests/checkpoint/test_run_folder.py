"""Which checkpoint of a run is the newest that is whole, whatever a crash has left in its folder."""

import os
from pathlib import Path

import pytest
import torch

from mmswinv2.checkpoint import last_written, newest_whole, remove_partial, set_aside
from mmswinv2.checkpoint.archive import PARTIAL, save_sealed


def write(folder: Path, name: str, iteration: int, resumable: bool = True, sealed: bool = True) -> Path:
    content = {"state_dict": {"w": torch.full((5000,), float(iteration))}, "meta": {"iter": iteration}}
    if sealed:
        save_sealed(content, folder / name, iteration, resumable)
    else:
        torch.save(content, folder / name)
    return folder / name


def test_the_newest_is_that_with_the_most_iterations(tmp_path: Path) -> None:
    """Not the last by name, nor by time: clocks jump. The best one holds weights alone."""
    first = write(tmp_path, "iter_9.pth", 9)
    newest = write(tmp_path, "iter_10.pth", 10)
    write(tmp_path, "best_coco_bbox_mAP_iter_12.pth", 12, resumable=False)
    os.utime(first, (2e9, 2e9))
    assert newest_whole([tmp_path]) == (newest, [])


def test_epochs_and_iterations_are_compared(tmp_path: Path) -> None:
    """A run by epoch that was told to stop in the middle of one has both."""
    write(tmp_path, "epoch_2.pth", 200)
    newest = write(tmp_path, "iter_250.pth", 250)
    assert newest_whole([tmp_path]).path == newest
    newest = write(tmp_path, "epoch_3.pth", 300)
    assert newest_whole([tmp_path]).path == newest


def test_mmengine_s_own_are_compared_by_name(tmp_path: Path) -> None:
    for number in (2, 9, 10):
        write(tmp_path, f"epoch_{number}.pth", 0, sealed=False)
    write(tmp_path, "weights.pth", 0, sealed=False)
    assert newest_whole([tmp_path]).path == tmp_path / "epoch_10.pth"


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "mmengine"])
@pytest.mark.parametrize("left", [0, 1, 1000, -50, -1])
def test_damaged_ones_are_passed_over(tmp_path: Path, sealed: bool, left: int) -> None:
    """Two of three are cut short."""
    whole = write(tmp_path, "iter_2.pth", 2, sealed=sealed)
    for number in (4, 6):
        cut = write(tmp_path, f"iter_{number}.pth", number, sealed=sealed)
        cut.write_bytes(cut.read_bytes()[:left])
    found, passed_over = newest_whole([tmp_path])
    assert found == whole
    assert len(passed_over) == 2 and all("iter_" in line and "cut short" in line for line in passed_over)


def test_one_whose_content_changed_is_passed_over(tmp_path: Path) -> None:
    whole, damaged = write(tmp_path, "iter_2.pth", 2), write(tmp_path, "iter_4.pth", 4)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    found, (line,) = newest_whole([tmp_path])
    assert found == whole and line.startswith(f"{damaged}: damaged, its checksum (SHA-256) is wrong")


def test_one_in_torch_s_older_format_is_taken_by_its_number(tmp_path: Path) -> None:
    """It has no checksums. What is wrong with it shows when it is read."""
    write(tmp_path, "iter_4.pth", 4, sealed=False)
    torch.save({"meta": {"iter": 2}}, tmp_path / "iter_2.pth", _use_new_zipfile_serialization=False)
    assert newest_whole([tmp_path]).path == tmp_path / "iter_4.pth"
    torch.save({"meta": {"iter": 6}}, tmp_path / "iter_6.pth", _use_new_zipfile_serialization=False)
    assert newest_whole([tmp_path]).path == tmp_path / "iter_6.pth"


def test_several_folders_count_and_none_needs_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    newest = write(tmp_path / "out", "iter_4.pth", 4)
    write(tmp_path, "iter_2.pth", 2)
    assert newest_whole([tmp_path, tmp_path / "out", tmp_path / "none"]).path == newest
    assert newest_whole([tmp_path / "none"]) == (None, [])


@pytest.mark.parametrize(
    ("content", "path"), [(b"work/iter_2.pth\n", "work/iter_2.pth"), (b"", None), (b"\0\0\0", None)]
)
def test_last_checkpoint_may_be_lost(tmp_path: Path, content: bytes, path: str | None) -> None:
    assert last_written(tmp_path) is None
    (tmp_path / "last_checkpoint").write_bytes(content)
    assert last_written(tmp_path) == path


def test_what_killed_saves_left_is_removed(tmp_path: Path) -> None:
    kept, partial = write(tmp_path, "iter_2.pth", 2), tmp_path / f"iter_4.pth{PARTIAL}"
    partial.write_bytes(b"half")
    assert remove_partial([tmp_path, tmp_path / "none"]) == [partial]
    assert list(tmp_path.iterdir()) == [kept]


def test_what_an_earlier_run_saved_is_set_aside(tmp_path: Path) -> None:
    """Nothing of it is overwritten, and nothing else moves."""
    assert set_aside(tmp_path) == {}
    for number in (1, 2):
        write(tmp_path, "iter_2.pth", number)
        write(tmp_path, "best_mIoU_iter_2.pth", number, resumable=False)
        write(tmp_path, "weights.pth", number, sealed=False)
        (tmp_path / "last_checkpoint").write_text("iter_2.pth")
        moved = set_aside(tmp_path)
        place = tmp_path / f"earlier_{number}"
        assert moved[tmp_path / "iter_2.pth"] == place / "iter_2.pth"
        assert {path.name for path in place.iterdir()} == {"iter_2.pth", "best_mIoU_iter_2.pth", "last_checkpoint"}
        assert newest_whole([place]).path == place / "iter_2.pth"
        assert newest_whole([tmp_path]).path is None
    assert (tmp_path / "weights.pth").is_file()
