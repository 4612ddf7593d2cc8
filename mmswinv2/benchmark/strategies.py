"""What each strategy costs on this machine: time, memory and bytes sent, by the number of processes, beside theory.

A classifier, SwinV2-T, trains on random images of 64 px, so that its weights and not its activations count. Processes
talk by gloo over the loopback device, whose counter says what they send. On a machine with fewer cores than processes
they wait for each other, and the time says more of that than of the strategy.
"""

import json
import os
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import Tensor, distributed, multiprocessing
from torch.utils.data import Dataset

from ..engine.processes import join_processes
from ..engine.strategies import STRATEGIES, apply_strategy
from ..layers import SwinV2Block
from ..registry import DATASETS
from .memory import ALLOCATOR, MIB

SIDE, BATCH, CLASSES = 64, 4, 1000  # BATCH images on each process
WARM, STEPS = 3, 10  # iterations before the measured ones, and those
LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")
PROCESSES = 1, 2, 4
FLOAT = 4  # bytes


class Cost(NamedTuple):
    """What a training took.

    Attributes:
        seconds: Of an iteration, the median.
        memory: Peak of a process over what the libraries take, in bytes.
        sent: By each process in an iteration, in bytes.
    """

    seconds: float
    memory: float
    sent: float


@DATASETS.register_module()
class Noise(Dataset[dict[str, Any]]):
    """Random images with random classes."""

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        image = torch.randn(3, SIDE, SIDE, generator=generator)
        return {"inputs": image, "label": torch.tensor(index % CLASSES)}


class Clock(Hook):
    """Notes after each iteration the time, and what the loopback device has sent."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.sent: list[int] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Lets all processes come to the same point."""
        if distributed.is_initialized():
            distributed.barrier()
        self.times.append(time.perf_counter())
        self.sent.append(int(LOOPBACK.read_text()))


def main() -> None:
    """Prints the table."""
    print("| strategy | processes | seconds | memory, MiB | in theory | sent, MB | in theory |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for processes in PROCESSES:
        for strategy in STRATEGIES if processes > 1 else ("none",):
            cost, parameters, block = measured(strategy, processes)
            memory = memory_in_theory(strategy, processes, parameters, block)
            sent = sent_in_theory(strategy, processes, parameters)
            print(
                f"| {strategy} | {processes} | {cost.seconds:.2f} | {cost.memory / MIB:.0f} | {memory / MIB:.0f} "
                f"| {cost.sent / 1e6:.0f} | {sent / 1e6:.0f} |",
                flush=True,
            )


def memory_in_theory(strategy: str, processes: int, parameters: int, block: int) -> float:
    """Bytes of weights, gradients and AdamW's two moments in a process.

    Args:
        strategy: One of :data:`STRATEGIES`, or ``none``.
        processes: Their number.
        parameters: Their number.
        block: Those of the largest block. Weights of two and gradients of one are whole under ``fsdp2``.
    """
    if strategy == "fsdp2":
        return FLOAT * (4 * parameters / processes + 3 * block)
    return FLOAT * (2 * parameters + 2 * parameters / (processes if strategy == "zero1" else 1))


def sent_in_theory(strategy: str, processes: int, parameters: int) -> float:
    """Bytes that a process sends in an iteration, by rings: all but its own part, so many times."""
    times = {"none": 0, "ddp": 2, "zero1": 3, "fsdp2": 3}[strategy]
    return FLOAT * parameters * times * (processes - 1) / processes


def measured(strategy: str, processes: int) -> tuple[Cost, int, int]:
    """Trains with new processes; returns the first one's cost, the number of parameters, and that of a block's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    variables = {**ALLOCATOR, **address, "WORLD_SIZE": str(processes), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder, changed_environment(variables):
        multiprocessing.spawn(train, (processes, strategy, folder), nprocs=processes)
        *cost, parameters, block = json.loads(Path(folder, "cost.json").read_text())
    return Cost(*cost), parameters, block


@contextmanager
def changed_environment(variables: dict[str, str]) -> Iterator[None]:
    """Sets variables of the environment for the processes that are started inside."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def train(rank: int, processes: int, strategy: str, folder: str) -> None:
    """One process; the first leaves the cost in ``cost.json``, with the numbers of parameters."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    cfg = config(folder, None if processes == 1 else strategy)
    apply_strategy(cfg)
    join_processes(cfg)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runner: Runner = RUNNERS.build(cfg)
    clock = Clock()
    runner.register_hook(clock)
    runner.train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    steps = [after - at for at, after in pairwise(clock.times[WARM - 1 :])]
    sent = (clock.sent[-1] - clock.sent[WARM - 1]) / STEPS / processes
    if rank == 0:
        cost = Cost(statistics.median(steps), (peak - before) * 1024, sent)
        blocks = [module for module in runner.model.modules() if isinstance(module, SwinV2Block)]
        sizes = (count(runner.model.parameters()), max(count(block.parameters()) for block in blocks))
        Path(folder, "cost.json").write_text(json.dumps((*cost, *sizes)))
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def count(parameters: Iterator[Tensor]) -> int:
    """The number of values, of those in parts the whole."""
    return sum(parameter.numel() for parameter in parameters)


def config(folder: str, strategy: str | None) -> Config:
    """The training."""
    return Config(
        dict(
            model=dict(
                type="mmswinv2.ImageClassifier",
                backbone=dict(type="mmswinv2.SwinTransformerV2", arch="tiny", window_size=8, out_indices=(3,)),
                num_classes=CLASSES,
                data_preprocessor=dict(type="BaseDataPreprocessor"),
            ),
            train_dataloader=dict(
                batch_size=BATCH,
                num_workers=0,
                dataset=dict(type="mmswinv2.Noise"),
                sampler=dict(type="InfiniteSampler"),
                collate_fn=dict(type="default_collate"),
            ),
            train_cfg=dict(by_epoch=False, max_iters=WARM + STEPS),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-4)),
            default_hooks=dict(checkpoint=None, logger=None),
            work_dir=folder,
            log_level="ERROR",
            launcher="none" if strategy is None else "pytorch",
            strategy=strategy,
        )
    )
