"""One process of several that train a tiny model under a strategy; the processes talk by gloo."""

import copy
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import distributed, multiprocessing

import mmswinv2.checkpoint.openmmlab  # noqa: F401 # lets runners write checkpoints in parts
from mmswinv2.engine.processes import join_processes
from mmswinv2.engine.strategies import apply_strategy

from ..tiny_training import ITERATIONS, Record, training

GLOBAL_BATCH = 4
BACKBONE = dict(
    type="mmswinv2.SwinTransformerV2",
    arch=dict(embed_dims=32, depths=[2, 2], num_heads=[1, 2]),
    window_size=4,
    out_indices=(1,),
    drop_path_rate=0.0,
)
# Without Mixup and drop path, which draw for the batch of a process: a loss is the mean over its samples.
MODEL = dict(
    type="mmswinv2.ImageClassifier",
    backbone=BACKBONE,
    num_classes=4,
    data_preprocessor=dict(type="BaseDataPreprocessor"),
)
SIMMIM = dict(type="mmswinv2.SimMIM", backbone=BACKBONE, target_window=15)


def config(folder: Path, processes: int, strategy: str | None, iterations: int, **changes: Any) -> Config:
    """A training whose batches hold as many images over all processes, whatever their number."""
    loop = dict(type="mmswinv2.ResumableIterLoop", max_iters=iterations)
    settings = copy.deepcopy(training(MODEL, loop=loop, sampler=ITERATIONS["sampler"]))
    settings["train_dataloader"]["batch_size"] = GLOBAL_BATCH // processes
    settings["default_hooks"]["checkpoint"] = dict(type="mmswinv2.WholeCheckpointHook", by_epoch=False, interval=4)
    settings["custom_hooks"] = [dict(type="EMAHook", momentum=0.1), dict(type="mmswinv2.FiniteLossHook")]
    own = dict(
        work_dir=str(folder),
        launcher="none" if processes == 1 else "pytorch",
        strategy=strategy,
        experiment_name=f"{folder.name}_{processes}_{iterations}",
    )
    return Config({**settings, **own, **changes})


def train(cfg: Config) -> dict[str, Any]:
    """Trains; returns the mean loss over all processes of each iteration, and all weights, whole."""
    apply_strategy(cfg)
    join_processes(cfg)
    runner: Runner = RUNNERS.build(cfg)
    record = Record()
    runner.register_hook(record)
    runner.train()
    losses = torch.stack(list(record.losses.values()))
    if cfg.launcher != "none":
        distributed.all_reduce(losses)
        losses /= distributed.get_world_size()
    state = runner.model.state_dict()
    return {
        "losses": losses,
        "first": min(record.losses),
        "weights": {name.removeprefix("module."): whole(value) for name, value in state.items()},
        "kept": sum(value.numel() for value in map(part, runner.model.parameters())),
    }


def whole(value: torch.Tensor) -> torch.Tensor:
    return value.full_tensor() if hasattr(value, "full_tensor") else value.clone()


def part(value: torch.Tensor) -> torch.Tensor:
    return value.to_local() if hasattr(value, "to_local") else value


def one_of_several(rank: int, processes: int, folder: str, cfgs: dict[str, Config]) -> None:
    """Trains one config after the other; leaves what they gave in ``RESULTS_rank.pth``."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/{'_'.join(cfgs)}_{processes}.processes", rank=rank, world_size=processes
    )
    results = {name: train(cfg) for name, cfg in cfgs.items()}
    torch.save(results, f"{folder}/results_{rank}.pth")
    distributed.barrier()  # a process that leaves before the others may abort them
    distributed.destroy_process_group()


def together(folder: Path, processes: int, cfgs: dict[str, Config]) -> list[dict[str, dict[str, Any]]]:
    """Trains by several processes, which all take the same configs; returns what each of them got."""
    multiprocessing.spawn(one_of_several, (processes, str(folder), cfgs), nprocs=processes)
    return [torch.load(folder / f"results_{rank}.pth") for rank in range(processes)]
