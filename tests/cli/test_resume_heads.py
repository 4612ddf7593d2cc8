"""Mask R-CNN and UPerNet killed and resumed: bit by bit the run that was never stopped.

MMDetection's and MMSegmentation's data sets and transforms draw from the generators of the process. The loops of this
package make them draw by the seed of each sample, as the COCO and ADE20K recipes use them.
"""

import json
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from mmengine.config import Config

from mmswinv2.checkpoint import read_checkpoint

from ..tiny_nuclei import write_tiny_nuclei
from .support import CONFIGS, run_tool

KILLED, SAVED = 5, 4


def mask_rcnn() -> dict[str, Any]:
    """Three iterations an epoch, batches by aspect ratio, random sizes, crops and flips."""
    config = Config.fromfile(CONFIGS / "tiny_mask_rcnn.py").to_dict()
    dataset = config["train_dataloader"]["dataset"]["dataset"]
    dataset["pipeline"][2:3] = [
        dict(type="RandomChoiceResize", scales=[(96, 64), (96, 80), (128, 96)], keep_ratio=True),
        dict(type="RandomCrop", crop_type="absolute_range", crop_size=(48, 96), allow_negative_crop=True),
        dict(type="RandomFlip", prob=0.5),
    ]
    config["train_dataloader"].update(
        dataset=dataset,
        sampler=dict(type="mmswinv2.ResumableSampler"),
        batch_sampler=dict(type="mmswinv2.ResumableBatchSampler", batch_sampler=dict(type="AspectRatioBatchSampler")),
    )
    config["train_cfg"] = dict(type="mmswinv2.ResumableEpochLoop", max_epochs=3, val_interval=5)
    return config


def upernet() -> dict[str, Any]:
    """By iteration, random sizes, crops, flips and colours."""
    config = Config.fromfile(CONFIGS / "tiny_upernet.py").to_dict()
    config["train_dataloader"]["dataset"]["pipeline"][2:3] = [
        dict(type="RandomResize", scale=(128, 96), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type="RandomCrop", crop_size=(64, 64), cat_max_ratio=0.75),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PhotoMetricDistortion"),
    ]
    config["train_dataloader"]["sampler"] = dict(type="mmswinv2.ResumableSampler", infinite=True)
    config["train_cfg"] = dict(type="mmswinv2.ResumableIterLoop", max_iters=9, val_interval=20)
    return config


RECIPES = {"mask_rcnn": mask_rcnn, "upernet": upernet}


class Runs(NamedTuple):
    """Work dirs of a run to the end, and of one that was killed and resumed."""

    whole: Path
    resumed: Path


@pytest.fixture(scope="module", params=["mask_rcnn", "upernet"])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The undisturbed run loads in its own process, the killed one with two workers, the resumed one with one."""
    folder = tmp_path_factory.mktemp(request.param)
    data = write_tiny_nuclei(folder / "data/tiny")  # where the configs look
    config = RECIPES[request.param]()
    config["model"]["backbone"]["drop_path_rate"] = 0.5
    config["param_scheduler"] = [dict(type="CosineAnnealingLR", T_max=9, by_epoch=False)]
    config["custom_imports"] = dict(imports=["tests.engine.tiny_training"], allow_failed_imports=False)
    config["randomness"] = dict(seed=5)
    config["default_hooks"]["checkpoint"] = dict(type="CheckpointHook", by_epoch=False, interval=2, max_keep_ckpts=1)
    ema = dict(type="EMAHook", momentum=0.1)

    def train(work_dir: str, workers: int, *options: str, hooks: tuple[dict, ...] = (ema,)) -> int:
        config["train_dataloader"]["num_workers"] = workers
        config["custom_hooks"] = list(hooks)
        Config(config).dump(folder / "config.py")
        result = run_tool(
            "train.py", folder / "config.py", "--work-dir", folder / work_dir, *options, root=data, cwd=folder
        )
        assert result.returncode in (0, -signal.SIGKILL), result.stderr
        return result.returncode

    assert train("whole", 0) == 0
    assert train("resumed", 2, hooks=(ema, dict(type="Kill", after=KILLED))) == -signal.SIGKILL
    assert [path.name for path in (folder / "resumed").glob("*.pth")] == [f"iter_{SAVED}.pth"]
    assert train("resumed", 1, "--resume") == 0
    return Runs(folder / "whole", folder / "resumed")


def logged(work_dir: Path) -> list[dict[int, dict[str, float]]]:
    """All losses of each start of a run, by iteration."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    logs = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    return [
        {
            entry["step"]: {key: value for key, value in entry.items() if "loss" in key or key == "lr"}
            for entry in log
            if "loss" in entry
        }
        for log in logs
    ]


@pytest.mark.full
def test_all_losses_are_the_same(runs: Runs) -> None:
    (whole,) = logged(runs.whole)
    killed, resumed = logged(runs.resumed)
    assert list(whole) == list(range(1, 10))
    assert list(killed) == list(range(1, KILLED + 1)) and list(resumed) == list(range(SAVED + 1, 10))
    assert {**killed, **resumed} == whole


@pytest.mark.full
def test_weights_averages_and_optimizer_are_the_same(runs: Runs) -> None:
    whole, resumed = (read_checkpoint(str(folder / "iter_9.pth")).content for folder in runs)
    for key in ("state_dict", "ema_state_dict"):
        assert whole[key].keys() == resumed[key].keys()
        assert all(torch.equal(tensor, resumed[key][name]) for name, tensor in whole[key].items())
    for number, state in whole["optimizer"]["state"].items():
        assert all(torch.equal(tensor, resumed["optimizer"]["state"][number][name]) for name, tensor in state.items())
    assert whole["param_schedulers"] == resumed["param_schedulers"]
