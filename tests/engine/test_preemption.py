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
from mmengine.runner import Runner

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.engine.children import bind_children
from mmswinv2.engine.preemption import REQUEUE, PreemptionHook

from ..cli.support import command, environment, run_tool
from .tiny_training import CLASSIFIER, EPOCHS, ITERATIONS, SIMMIM, Kill, training

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


def test_stops_saved_and_goes_on_alike(tmp_path: Path) -> None:
    """At iteration 7, between the checkpoints 5 and 10, within an epoch. Workers get the signal too."""
    base = training(SIMMIM, **ITERATIONS)
    base["train_dataloader"]["num_workers"] = 2
    told = dict(type="Kill", after=STOPPED, number=int(signal.SIGTERM), group=True)
    assert train(tmp_path, write_config(tmp_path / "whole.py", base), "whole").returncode == 0
    stopped = train(tmp_path, write_config(tmp_path / "stopped.py", base, told), "run")
    assert stopped.returncode == REQUEUE, stopped.stderr
    assert f"Stopped by SIGTERM after iteration {STOPPED}, which is saved" in stopped.stdout
    assert (tmp_path / f"run/iter_{STOPPED}.pth").is_file()
    resumed = train(tmp_path, tmp_path / "whole.py", "run", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert losses(tmp_path / "run") == losses(tmp_path / "whole") and len(losses(tmp_path / "run")) == COUNT
    whole, again = (read_checkpoint(str(tmp_path / name / f"iter_{COUNT}.pth")).content for name in ("whole", "run"))
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, again["state_dict"][name]), name
    # What was saved out of turn is gone, now that there are newer ones.
    names = sorted(path.name for path in (tmp_path / "run").glob("*.pth"))
    assert names == ["iter_10.pth", "iter_15.pth", "iter_5.pth"]


def stop_here(folder: Path, base: dict[str, Any], after: int, caplog: pytest.LogCaptureFixture) -> str:
    """Trains in this process up to a SIGUSR1 after an iteration, and returns what the log says of it."""
    hooks = [Kill(after, signal.SIGUSR1), PreemptionHook()]
    runner = Runner(**base, work_dir=str(folder), custom_hooks=hooks, experiment_name=str(folder))
    runner.logger.addHandler(caplog.handler)
    with pytest.raises(SystemExit) as end:
        runner.train()
    for number, handler in hooks[1].before.items():  # this process goes on
        signal.signal(number, handler)
    bind_children(())
    assert end.value.code == REQUEUE
    return caplog.text


def test_a_run_by_epoch_stops_within_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert "Stopped by SIGUSR1 after iteration 7, which is saved" in stop_here(
        tmp_path, training(CLASSIFIER, **EPOCHS), STOPPED, caplog
    )
    meta = read_checkpoint(str(tmp_path / "iter_7.pth")).content["meta"]
    assert (meta["epoch"], meta["iter"]) == (1, 7)


def test_gradients_that_wait_are_used_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Three batches an update: told in the middle of one, it stops after the whole one."""
    base = training(SIMMIM, **ITERATIONS)
    base["optim_wrapper"]["accumulative_counts"] = 3
    assert "after iteration 9, which is saved" in stop_here(tmp_path, base, STOPPED, caplog)


def test_a_loop_that_cannot_resume_within_an_epoch_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """MMEngine's own would begin the epoch again but count on: what is saved in it would be a trap."""
    sampler = dict(type="DefaultSampler", shuffle=True)
    base = training(CLASSIFIER, dict(type="EpochBasedTrainLoop", max_epochs=3), sampler)
    base["default_hooks"]["checkpoint"] = dict(type="CheckpointHook", interval=1)
    said = stop_here(tmp_path, base, STOPPED, caplog)
    assert "EpochBasedTrainLoop cannot go on within an epoch (mmswinv2.ResumableEpochLoop can)" in said
    assert not list(tmp_path.glob("iter_*.pth"))


@pytest.mark.full
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
