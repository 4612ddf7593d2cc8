"""A folder in the place of a checkpoint file: whatever its files say, it is read as it was written or refused."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from mmswinv2.checkpoint import newest_whole, read_checkpoint
from mmswinv2.checkpoint.archive import save_sealed
from mmswinv2.checkpoint.sharded import FILES, IN_PARTS, RUN, check_whole, load_sharded, save_sharded
from mmswinv2.errors import CheckpointError

WEIGHT = torch.arange(12.0).view(4, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """What a run of one process has saved after iteration 4."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    mesh = init_device_mesh("cpu", (1,))
    weight = distribute_tensor(WEIGHT, mesh, [Shard(0)])
    checkpoint = {"meta": {"iter": 4}, "state_dict": {"weight": weight, "bias": torch.ones(3)}}
    save_sharded(checkpoint, tmp_path / "iter_4.pth", 4, resumable=True)
    yield tmp_path / "iter_4.pth"
    distributed.destroy_process_group()


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Writes another ``run.pth``, with a good seal."""
    content = torch.load(folder / RUN, weights_only=True)
    edit(content)
    (folder / RUN).unlink()
    save_sealed(content, folder / RUN, 4, True)


def test_is_read_as_it_was_written(folder: Path) -> None:
    state = read_checkpoint(str(folder)).content["state_dict"]
    assert torch.equal(state["weight"], WEIGHT) and torch.equal(state["bias"], torch.ones(3))


@pytest.mark.parametrize(
    ("edited", "fault"),
    [
        (dict(shape=[4, -3]), "describes no tensor"),
        (dict(shape=[4, 3.0]), "describes no tensor"),
        (dict(shape="43"), "describes no tensor"),
        (dict(dtype="no_such_type"), "describes no tensor"),
        (dict(dtype="load"), "describes no tensor"),  # torch has a function of that name
        (dict(dtype=["float32"]), "describes no tensor"),
        ({IN_PARTS: "state_dict/bias"}, "describes no tensor"),
        (dict(shape=[10**9, 10**9]), "describes state_dict/weight otherwise than its files hold it"),
        (dict(shape=[2, 3]), "describes state_dict/weight otherwise than its files hold it"),
        (dict(dtype="float64"), "describes state_dict/weight otherwise than its files hold it"),
    ],
)
def test_what_describes_no_tensor_of_its_files_is_refused(edited: dict, fault: str, folder: Path) -> None:
    """Nothing is allocated for it."""
    change(folder, lambda content: content["state_dict"]["weight"].update(edited))
    with pytest.raises(CheckpointError, match=fault):
        read_checkpoint(str(folder))


def test_what_has_more_bytes_than_a_number_tells_is_refused_before_a_file_is_read(folder: Path) -> None:
    change(folder, lambda content: content["state_dict"]["weight"].update(shape=[2**62, 2**62]))
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_sharded(folder, "the folder", "meta")


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (None, "does not name its other files"),
        ({}, "does not name .*safetensors, which is in the folder"),
        ({3: "a"}, "does not name its other files"),
        ({"a.safetensors": None}, "does not name its other files"),
        ({"../a.safetensors": "0"}, "names '../a.safetensors', which is no file of the folder"),
        ({"run.pth": "0"}, "names 'run.pth', which is no file of the folder"),
    ],
)
def test_files_that_it_does_not_name_as_it_should_are_refused(files: Any, fault: str, folder: Path) -> None:
    change(folder, lambda content: content.update({FILES: files}))
    for read in (check_whole, lambda path: read_checkpoint(str(path))):
        with pytest.raises(CheckpointError, match=fault):
            read(folder)


def test_a_file_that_was_put_beside_is_refused(folder: Path) -> None:
    """PyTorch's reader takes all that it finds."""
    save_file({"state_dict/weight": torch.zeros(4, 3)}, folder / "z.safetensors")
    with pytest.raises(CheckpointError, match=r"run\.pth does not name z\.safetensors, which is in the folder"):
        read_checkpoint(str(folder))


def test_a_kill_while_one_takes_the_place_of_another_loses_neither(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one is still there, under a name that ``--resume`` finds; the next save removes it."""
    again = {"meta": {"iter": 4}, "state_dict": {"bias": torch.zeros(3)}}
    moves: list[bool] = []  # of folders, or else of files

    def killed(source: Path, target: Path) -> None:
        moves.append(Path(source).is_dir())
        if sum(moves) == 2:
            raise KeyboardInterrupt
        Path(source).rename(target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mmswinv2.checkpoint.sharded.os.replace", killed)
        save_sharded(again, folder, 4, resumable=True)
    newest = newest_whole([folder.parent])
    assert newest.path == folder.with_name("replaced_iter_4.pth") and not newest.passed_over
    save_sharded(again, folder, 4, resumable=True)
    assert [path.name for path in folder.parent.iterdir()] == ["iter_4.pth"]
