"""Trainings by two processes on CPUs, as a scheduler or torchrun starts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..support import ROOT
from .tiny_training import CLASSIFIER, ITERATIONS, training

WAIT = 6  # seconds that these processes wait for each other
SLACK = 15  # to end, on a busy machine
START = 120  # to import everything and begin, on a busy machine


def write_config(folder: Path, spoilt: tuple[int, ...] = (), max_iters: int = 100000, **changes: Any) -> Path:
    """A training of the classifier that goes on for long; ``changes`` replace whole settings."""
    config = training(
        CLASSIFIER, loop=dict(type="mmswinv2.ResumableIterLoop", max_iters=max_iters), sampler=ITERATIONS["sampler"]
    )
    config["train_dataloader"] = {
        **config["train_dataloader"],
        "dataset": dict(type="SpoiltCrops", size=22, spoilt=spoilt),
    }
    imports = dict(imports=["tests.engine.tiny_training", "tests.engine.faults"], allow_failed_imports=False)
    path = folder / "config.py"
    Config(
        {
            **config,
            "custom_imports": imports,
            "env_cfg": dict(dist_cfg=dict(timeout=WAIT)),
            **changes,
        }
    ).dump(path)
    return path


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def environment() -> dict[str, str]:
    path = os.environ.get("PYTHONPATH", str(ROOT))
    # The last: processes that torchrun starts again find each other, see docs/scaling.md.
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def command(folder: Path, config: Path, *options: str) -> list[str]:
    arguments = ["-m", "tests.engine.one_of_several", folder, "train", config]
    settings = ["--launcher", "pytorch", "--work-dir", folder / "work", *options]
    return [str(argument) for argument in (*arguments, *settings)]


@contextmanager
def started(
    folder: Path, config: Path, *options: str, torchrun: tuple[str, ...] | None = None
) -> Iterator[list[subprocess.Popen]]:
    """Two processes of a run as a scheduler starts them; all are ended afterwards.

    Args:
        folder: Of the run: its work dir, what the processes say, and their ids.
        config: Its file.
        options: More arguments of the command line.
        torchrun: Options of torchrun, which then starts the two, and is the one process that is given. Empty: its
            processes meet at a port, as those of tools/dist_train.sh.
    """
    port = free_port()
    base = {**environment(), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    lines = [command(folder, config, *options)] * 2
    environments: list[dict[str, str]] = [
        {**base, "RANK": str(r), "LOCAL_RANK": str(r), "WORLD_SIZE": "2"} for r in range(2)
    ]
    if torchrun is not None:
        meeting = torchrun or ("--master_port", port)
        launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", *meeting]
        lines, environments = [[*launcher, *lines[0]]], [base]
    with all_started(folder, lines, environments) as processes:
        yield processes


@contextmanager
def machines(folder: Path, config: Path, *options: str) -> Iterator[list[subprocess.Popen]]:
    """The torchruns of two machines with a process each, which go on without one of them; they meet at the first."""
    elastic = ["-m", "torch.distributed.run", "--nnodes", "1:2", "--nproc_per_node", "1", "--max-restarts", "3"]
    meeting = ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{free_port()}", "--rdzv_conf"]
    lines = [[*elastic, *meeting, f"is_host={host}", *command(folder, config, *options)] for host in ("1", "0")]
    with all_started(folder, lines, [environment()] * 2) as agents:
        yield agents


@contextmanager
def all_started(
    folder: Path, lines: list[list[str]], environments: list[dict[str, str]]
) -> Iterator[list[subprocess.Popen]]:
    """Starts Python with each of the lines; what is still there is killed afterwards."""
    processes = []
    try:
        for number, (line, variables) in enumerate(zip(lines, environments, strict=True)):
            with open(folder / f"said_{number}", "w") as said:
                processes.append(
                    subprocess.Popen([sys.executable, *line], cwd=ROOT, env=variables, stdout=said, stderr=said)
                )
        yield processes
    finally:
        for path in folder.glob("process_*"):
            kill(int(path.read_text()), signal.SIGKILL)
        for process in processes:
            process.kill()
            process.wait()


def kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for(path: Path, processes: list[subprocess.Popen], folder: Path) -> None:
    """Waits until a run has left a file."""
    deadline = time.monotonic() + START
    while not path.exists():
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes), said(folder)
        time.sleep(0.1)


def said(folder: Path, number: int = 0) -> str:
    return (folder / f"said_{number}").read_text()


def seconds_to_end(process: subprocess.Popen) -> float:
    start = time.monotonic()
    process.wait(START)
    return time.monotonic() - start
