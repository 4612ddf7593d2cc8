"""What goes wrong in one process ends all, under each strategy, within a known time; and the run goes on from there."""

import json
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from mmswinv2.checkpoint import check_whole, newest_whole, read_checkpoint
from mmswinv2.cli import main
from mmswinv2.engine.examine import not_finite

from ..faults import is_finite
from ..several import SLACK, WAIT, kill, machines, said, seconds_to_end, started, wait_for, write_config

STRATEGIES = ["zero1", "fsdp2"]  # ddp is the default, and tested beside this folder
LOST = "mmswinv2 train: Another process of this run has ended, or has not answered"


def iterations_of(folder: Path) -> int:
    """How many iterations the newest checkpoint has behind it, which is whole."""
    newest = newest_whole([folder / "work"])
    assert newest.path is not None and not newest.passed_over
    return read_checkpoint(str(newest.path)).content["meta"]["iter"]


def resume(folder: Path, config: Path, iterations: int) -> None:
    """Goes on with two processes, for some iterations more than there were."""
    before = iterations_of(folder)
    length = f"train_cfg.max_iters={before + iterations}"
    with started(folder, config, "--resume", "--cfg-options", length) as processes:
        for process in processes:
            seconds_to_end(process)
    assert [process.returncode for process in processes] == [0, 0], said(folder)
    assert iterations_of(folder) == before + iterations


@pytest.mark.full
@pytest.mark.parametrize(("number", "longest"), [(signal.SIGKILL, SLACK), (signal.SIGSTOP, WAIT + SLACK)])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_others_end_when_one_process_is_lost(strategy: str, number: int, longest: float, tmp_path: Path) -> None:
    """Killed, as by the kernel where the machine has no memory left; or stuck."""
    with started(tmp_path, write_config(tmp_path, strategy=strategy)) as processes:
        wait_for(tmp_path / "work/last_checkpoint", processes, tmp_path)
        processes[1].send_signal(number)
        assert seconds_to_end(processes[0]) < longest
    assert processes[0].returncode == 2 and LOST in said(tmp_path), said(tmp_path)
    assert iterations_of(tmp_path) >= 2


@pytest.mark.full
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_gpu_without_memory_ends_all(strategy: str, tmp_path: Path) -> None:
    """Its process says what needs less, the other that it is gone."""
    hook = dict(type="RunOutOfMemory", rank=1, iteration=3)
    with started(tmp_path, write_config(tmp_path, strategy=strategy, custom_hooks=[hook])) as processes:
        for process in processes:
            seconds_to_end(process)
    assert [process.returncode for process in processes] == [2, 2]
    assert LOST in said(tmp_path)
    assert "The GPU has too little memory for this training. Less is needed with" in said(tmp_path, 1)
    assert "(CUDA out of memory. Tried to allocate 2.00 GiB.)" in said(tmp_path, 1)
    resume(tmp_path, write_config(tmp_path, strategy=strategy), 2)


@pytest.mark.full
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_stop_at_the_bad_batch_of_one(strategy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the same words; one process replays the batch, and two go on when the image is mended."""
    with started(tmp_path, write_config(tmp_path, spoilt=(5,), strategy=strategy)) as processes:
        for process in processes:
            seconds_to_end(process)
    assert [process.returncode for process in processes] == [2, 2], said(tmp_path)
    messages = [said(tmp_path, number).rpartition("mmswinv2 train: ")[2] for number in range(2)]
    assert messages[0] == messages[1] and "number 5" in messages[0]
    (path,) = (tmp_path / "work").glob("bad_batch_iter_*.json")
    kept = read_checkpoint(str(path.parent / json.loads(path.read_text())["checkpoint"])).content
    assert is_finite(kept["state_dict"])
    with pytest.raises(SystemExit) as end:
        main(["replay", str(path), "--device", "cpu"])
    assert not end.value.code
    assert "nan (in the run: nan)" in capsys.readouterr().out
    resume(tmp_path, write_config(tmp_path, strategy=strategy), 2)


@pytest.mark.full
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_signal_to_one_saves_one_whole_checkpoint_of_all(strategy: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, strategy=strategy)
    with started(tmp_path, config) as processes:
        wait_for(tmp_path / "work/last_checkpoint", processes, tmp_path)
        processes[1].send_signal(signal.SIGTERM)
        for process in processes:
            seconds_to_end(process)
    assert [process.returncode for process in processes] == [75, 75], said(tmp_path)
    done = iterations_of(tmp_path)
    assert f"Stopped by a signal to another process after iteration {done}, which is saved" in said(tmp_path)
    check_whole(tmp_path / f"work/iter_{done}.pth")
    resume(tmp_path, config, 3)


@pytest.mark.full
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_torchrun_starts_the_run_again_by_itself(strategy: str, tmp_path: Path) -> None:
    """With ``--max-restarts`` and ``--resume`` one command gets to the end, though a process is killed."""
    config, restarts = write_config(tmp_path, strategy=strategy, max_iters=30), ("--standalone", "--max-restarts", "1")
    with started(tmp_path, config, "--resume", torchrun=restarts) as processes:
        wait_for(tmp_path / "work/last_checkpoint", processes, tmp_path)
        kill(int((tmp_path / "process_1").read_text()), signal.SIGKILL)
        seconds_to_end(processes[0])
    assert processes[0].returncode == 0, said(tmp_path)
    assert said(tmp_path).count("Note: there is no GPU") == 2  # starts
    assert said(tmp_path).count("No checkpoint to resume") == 1  # the first
    assert iterations_of(tmp_path) == 30


@pytest.mark.full
def test_one_machine_goes_on_when_another_is_lost(tmp_path: Path) -> None:
    """Its process ends, and torchrun starts it again, alone, from the checkpoint that two have written in parts."""
    config = write_config(tmp_path, strategy="fsdp2", max_iters=30)
    with machines(tmp_path, config, "--resume") as agents:
        wait_for(tmp_path / "work/last_checkpoint", agents, tmp_path)
        workers = [int(path.read_text()) for path in tmp_path.glob("process_*")]
        lost = [worker for worker in workers if parent(worker) == agents[1].pid]
        assert len(workers) == 2 and len(lost) == 1
        for process in (agents[1].pid, *lost):
            kill(process, signal.SIGKILL)
        seconds_to_end(agents[0])
    assert agents[0].returncode == 0, said(tmp_path)
    assert iterations_of(tmp_path) == 30
    assert len(list((tmp_path / "work/iter_30.pth").glob("*.safetensors"))) == 1


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_all_processes_find_what_is_not_finite_in_the_part_of_one(tmp_path: Path) -> None:
    """They save together or not at all, by what they find."""
    multiprocessing.spawn(find_in_parts, (str(tmp_path),), nprocs=2)
    assert [torch.load(tmp_path / f"{rank}.pth") for rank in range(2)] == [["bad"], ["bad"]]


def find_in_parts(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/processes", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    values: dict[str, Tensor] = {"good": torch.ones(4, 2), "bad": torch.ones(4, 2)}
    values["bad"][3] = torch.nan  # in the part of the second
    parts = {name: distribute_tensor(value, mesh, [Shard(0)]) for name, value in values.items()}
    torch.save(not_finite(parts.items()), f"{folder}/{rank}.pth")
    distributed.barrier()
    distributed.destroy_process_group()
