"""A run that a scheduler tells to stop saves, ends with a status to requeue on, and goes on where it stood."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.engine.preemption import REQUEUE

from ..cli.support import command, environment, run_tool
from .tiny_training import CLASSIFIER, EPOCHS, ITERATIONS, SIMMIM, training

COUNT, STOPPED = 15, 7
IMPORTS = dict(custom_imports=dict(imports=["tests.engine.tiny_training"], allow_failed_imports=False))
EVERY_STEP = dict(log_processor=dict(type="LogProcessor", window_size=1, by_epoch=False), log_level="INFO")


def write_config(path: Path, base: dict[str, Any], *hooks: dict[str, Any]) -> Path:
    base["default_hooks"]["checkpoint"]["interval"] = 5
    Config({**base, **IMPORTS, **EVERY_STEP, "custom_hooks": list(hooks)}).dump(path)
    return path


def train(folder: Path, config: Path, work_dir: str, *options: str) -> subprocess.CompletedProcess:
    return run_tool("train.py", config, "--work-dir", folder / work_dir, *options, root=folder, cwd=folder)


def losses(work_dir: Path) -> dict[int, float]:
    files = work_dir.glob("*/vis_data/scalars.json")
    entries = [json.loads(line) for file in sorted(files) for line in file.read_text().splitlines()]
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}


@pytest.mark.parametrize(
    ("model", "loop", "number", "workers"),
    [
        pytest.param(SIMMIM, ITERATIONS, signal.SIGTERM, 2, id="simmim-term-workers"),
        pytest.param(CLASSIFIER, EPOCHS, signal.SIGUSR1, 0, id="classifier-usr1"),
    ],
)
def test_stops_saved_and_goes_on_alike(model: dict, loop: dict, number: int, workers: int, tmp_path: Path) -> None:
    """At iteration 7, between the checkpoints 5 and 10, within an epoch. Workers get the signal too."""
    base = training(model, **loop)
    base["train_dataloader"]["num_workers"] = workers
    told = dict(type="Kill", after=STOPPED, number=int(number), group=True)
    assert train(tmp_path, write_config(tmp_path / "whole.py", base), "whole").returncode == 0
    stopped = train(tmp_path, write_config(tmp_path / "stopped.py", base, told), "run")
    assert stopped.returncode == REQUEUE, stopped.stderr
    assert f"Stopped by {number.name} after iteration {STOPPED}, which is saved" in stopped.stdout
    assert (tmp_path / f"run/iter_{STOPPED}.pth").is_file()
    resumed = train(tmp_path, tmp_path / "whole.py", "run", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert losses(tmp_path / "run") == losses(tmp_path / "whole") and len(losses(tmp_path / "run")) == COUNT
    whole, again = (read_checkpoint(str(tmp_path / name / f"iter_{COUNT}.pth")).content for name in ("whole", "run"))
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, again["state_dict"][name]), name
    # What was saved out of turn is gone, now that there are newer ones.
    assert sorted(path.name for path in (tmp_path / "run").glob("*.pth")) == [
        "iter_10.pth",
        "iter_15.pth",
        "iter_5.pth",
    ]


def test_gradients_that_wait_are_used_first(tmp_path: Path) -> None:
    """Three batches an update: told in the middle of one, it stops after the whole one."""
    base = training(SIMMIM, **ITERATIONS)
    base["optim_wrapper"]["accumulative_counts"] = 3
    stopped = train(
        tmp_path, write_config(tmp_path / "c.py", base, dict(type="Kill", after=7, number=int(signal.SIGTERM))), "run"
    )
    assert stopped.returncode == REQUEUE and "after iteration 9, which is saved" in stopped.stdout, stopped.stderr


def test_a_loop_that_cannot_resume_within_an_epoch_says_so(tmp_path: Path) -> None:
    """MMEngine's own would begin the epoch again but count on: what is saved in it would be a trap."""
    base = training(
        CLASSIFIER, dict(type="EpochBasedTrainLoop", max_epochs=3), dict(type="DefaultSampler", shuffle=True)
    )
    base["default_hooks"]["checkpoint"] = dict(type="CheckpointHook", interval=1)
    config = write_config(tmp_path / "c.py", base, dict(type="Kill", after=STOPPED, number=int(signal.SIGTERM)))
    stopped = train(tmp_path, config, "run")
    assert stopped.returncode == REQUEUE
    assert "EpochBasedTrainLoop cannot go on within an epoch (mmswinv2.ResumableEpochLoop can)" in stopped.stdout
    assert not list((tmp_path / "run").glob("iter_*.pth"))


def test_told_during_a_validation_it_saves_the_trained_weights(tmp_path: Path) -> None:
    """A validation works on averaged weights; a run that resumes must not take these for the trained ones."""
    base = training(SIMMIM, **ITERATIONS)
    base["train_cfg"]["val_interval"] = 3
    base.update(
        val_dataloader=dict(
            batch_size=1,
            dataset=dict(type="SeededCrops", size=4000),
            sampler=dict(type="mmswinv2.ResumableSampler", shuffle=False),
            collate_fn=dict(type="default_collate"),
        ),
        val_cfg=dict(),
        val_evaluator=dict(type="mmswinv2.ReconstructionError"),
    )
    ema = dict(type="EMAHook", momentum=0.5)
    base["default_hooks"]["logger"]["interval"] = 1
    config = write_config(tmp_path / "c.py", base, ema)
    arguments = command("train.py", config, "--work-dir", tmp_path / "run")
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(arguments, cwd=tmp_path, env=environment(tmp_path), stdout=file, stderr=file)
    try:
        for _ in range(1200):
            if "Iter(val)" in log.read_text():
                break
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == REQUEUE, log.read_text()[-3000:]
    finally:
        process.kill()
    base.pop("val_dataloader"), base.pop("val_cfg"), base.pop("val_evaluator")
    base["train_cfg"] = dict(type="mmswinv2.ResumableIterLoop", max_iters=3)
    assert train(tmp_path, write_config(tmp_path / "three.py", base, ema), "three").returncode == 0
    expected, found = (read_checkpoint(str(tmp_path / name / "iter_3.pth")).content for name in ("three", "run"))
    for key in ("state_dict", "ema_state_dict"):
        for name, tensor in expected[key].items():
            assert torch.equal(tensor, found[key][name]), (key, name)
