"""Two processes, as on two GPUs: they share data and evaluation, and a run resumed on both repeats itself."""

import copy
import os
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from torch import distributed, multiprocessing

from .tiny_training import CLASSIFIER, EPOCHS, Record, training

PROCESSES, SAVED = 2, 3
COUNT = 6  # iterations of a whole run: 2 an epoch


def train(rank: int, folder: str, name: str, resume: str | None, seed: int | None) -> None:
    """One process of a run; leaves the losses, scores and images that it saw."""
    os.environ["LOCAL_RANK"] = str(rank)
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/{name}.processes", rank=rank, world_size=PROCESSES
    )
    record = Record()
    config = copy.deepcopy(training(CLASSIFIER, **EPOCHS, randomness=dict(seed=seed, diff_rank_seed=seed is None)))
    config["default_hooks"]["checkpoint"]["interval"] = 1
    evaluation = dict(
        batch_size=2,
        dataset=dict(type="SeededCrops", size=9),
        sampler=dict(type="mmswinv2.ResumableSampler", shuffle=False, seed=0),
        collate_fn=dict(type="default_collate"),
    )
    runner = Runner(
        **config,
        val_dataloader=evaluation,
        val_cfg=dict(),
        val_evaluator=dict(type="mmswinv2.Accuracy"),
        work_dir=f"{folder}/work",
        custom_hooks=[record],
        experiment_name=name,
        launcher="pytorch",
        cfg=dict(model_wrapper_cfg=dict(type="MMDistributedDataParallel", device_ids=None)),
        load_from=resume,
        resume=resume is not None,
    )
    runner.train()
    scores = runner.message_hub.get_scalar("val/accuracy/top1")
    torch.save({"losses": record.losses, "score": float(scores.current())}, f"{folder}/{name}_{rank}.pth")
    distributed.barrier()  # a process that leaves before the others may abort them
    distributed.destroy_process_group()


@pytest.mark.full
@pytest.mark.parametrize("seed", [3, None])
def test_resumes_on_two_processes(seed: int | None, tmp_path: Path) -> None:
    """Also without a seed of the user's, and with one of its own for each process."""

    def run(name: str, resume: str | None = None) -> list[dict]:
        multiprocessing.spawn(train, (str(tmp_path), name, resume, seed), nprocs=PROCESSES)
        return [torch.load(tmp_path / f"{name}_{rank}.pth") for rank in range(PROCESSES)]

    whole = run("whole")
    resumed = run("resumed", resume=str(tmp_path / f"work/iter_{SAVED}.pth"))
    for before, after in zip(whole, resumed, strict=True):
        assert list(before["losses"]) == list(range(COUNT)) and list(after["losses"]) == list(range(SAVED, COUNT))
        assert all(torch.equal(loss, before["losses"][iteration]) for iteration, loss in after["losses"].items())
    first, second = (torch.stack(list(process["losses"].values())) for process in whole)
    assert not torch.isclose(first, second).any()  # each its own images
    assert whole[0]["score"] == whole[1]["score"] == resumed[0]["score"]
    assert round(whole[0]["score"] * 9 / 100, 6).is_integer()  # of 9 images, none counted twice
