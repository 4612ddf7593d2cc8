"""Detection and segmentation: what processes reduce is the mean of the gradients that one gets of each one's images."""

import copy
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, RUNNERS, DefaultScope
from mmengine.runner import Runner
from torch import Tensor, distributed, multiprocessing

from mmswinv2.datasets.seeds import seed_process
from mmswinv2.engine.processes import join_processes
from mmswinv2.engine.strategies import STRATEGIES, apply_strategy
from mmswinv2.models.backbone import unwrapped

from ...support import ROOT
from ...tiny_nuclei import write_tiny_nuclei
from .training import whole

PROCESSES, IMAGES = 2, 2  # images of a process


@pytest.mark.full
@pytest.mark.parametrize("task", ["mask_rcnn", "upernet"])
def test_the_reduced_gradient_is_the_mean_of_the_parts(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every parameter of the whole model, under each strategy, with what each process draws."""
    monkeypatch.setenv("TINY_ROOT", f"{write_tiny_nuclei(tmp_path / 'data')}/")
    cfg = Config.fromfile(ROOT / f"tests/cli/tiny_{task}.py")
    cfg.merge_from_dict(
        {"work_dir": str(tmp_path / "alone"), "randomness": {"seed": 0}, "log_level": "ERROR", "launcher": "none"}
    )
    alone = built(cfg)
    parts = [gradients(alone, cfg, rank) for rank in range(PROCESSES)]
    multiprocessing.spawn(one_of_several, (str(tmp_path), cfg), nprocs=PROCESSES)
    for rank in range(PROCESSES):
        for strategy, found in torch.load(tmp_path / f"{rank}.pth").items():
            assert list(found) == list(parts[0])
            for name, gradient in found.items():
                mean = (parts[0][name] + parts[1][name]) / PROCESSES
                torch.testing.assert_close(
                    gradient, mean, rtol=1e-4, atol=1e-6, msg=partial("{}, {}: {}".format, strategy, name)
                )


def one_of_several(rank: int, folder: str, cfg: Config) -> None:
    """Leaves the gradients under each strategy."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(PROCESSES))
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/processes", rank=rank, world_size=PROCESSES)
    found = {}
    for strategy in STRATEGIES:
        changed = copy.deepcopy(cfg)
        changed.merge_from_dict(
            dict(launcher="pytorch", strategy=strategy, work_dir=f"{folder}/{strategy}", experiment_name=strategy)
        )
        found[strategy] = gradients(built(changed), changed, rank)
    torch.save(found, f"{folder}/{rank}.pth")
    distributed.barrier()
    distributed.destroy_process_group()


def built(cfg: Config) -> Runner:
    """A run that is ready for an iteration, with blocks that have gradients from the beginning on."""
    apply_strategy(cfg)
    join_processes(cfg)
    runner: Runner = RUNNERS.build(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner._init_model_weights()
    with torch.no_grad():
        for name, parameter in runner.model.named_parameters():
            if "blocks" in name and ("norm1.weight" in name or "norm2.weight" in name):
                parameter.fill_(1.0)
    runner.model.train()
    return runner


def gradients(runner: Runner, cfg: Config, rank: int) -> dict[str, Tensor]:
    """The gradients with which the optimizer steps, of the images of one process and with its random numbers."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        dataset: Any = DATASETS.build(copy.deepcopy(cfg.train_dataloader.dataset))
    seed_process(rank)
    samples = [dataset[rank * IMAGES + number] for number in range(IMAGES)]
    batch = {key: [sample[key] for sample in samples] for key in samples[0]}
    found: dict[str, Tensor] = {}

    def note(**settings: Any) -> None:
        for name, parameter in unwrapped(runner.model).named_parameters():
            found[name] = whole(parameter.grad)

    runner.optim_wrapper.step = note
    seed_process(rank)
    runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper)
    return found
