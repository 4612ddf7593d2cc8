"""The runs that faults are put into: a detector, a segmentor, SimMIM and a classifier, all tiny."""

import atexit
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmswinv2.checkpoint import newest_whole, read_checkpoint
from mmswinv2.checkpoint.archive import read_seal

from ..cli.support import command, environment
from ..cli.test_resume_heads import mask_rcnn, upernet
from ..engine.tiny_training import CLASSIFIER, EPOCHS, ITERATIONS, SIMMIM, training
from ..tiny_nuclei import write_tiny_nuclei

INTERVAL = 2  # iterations between checkpoints
PER_EPOCH = {"mask_rcnn": 3, "classifier": 5}  # iterations an epoch, where the loop counts in epochs
PATIENCE = 240  # seconds after which something hangs


def recipe(name: str, keep: int) -> dict[str, Any]:
    """Config of a run with ``keep`` checkpoints."""
    if name == "mask_rcnn":
        config = mask_rcnn()
    elif name == "upernet":
        config = upernet()
    elif name == "simmim":
        config = training(SIMMIM, **ITERATIONS)
    else:
        config = training(CLASSIFIER, **EPOCHS)
    for key in [key for key in config if key.startswith(("val_", "test_"))]:
        config.pop(key)
    config["train_cfg"].pop("val_interval", None)
    config["default_hooks"]["checkpoint"] = dict(
        type="CheckpointHook", by_epoch=False, interval=INTERVAL, max_keep_ckpts=keep
    )
    config["default_hooks"].pop("visualization", None)
    return {
        **config,
        "train_dataloader": {**config["train_dataloader"], "num_workers": 1},
        "custom_imports": dict(imports=["tests.engine.tiny_training"], allow_failed_imports=False),
        "custom_hooks": [dict(type="EMAHook", momentum=0.1)],
        "param_scheduler": [dict(type="CosineAnnealingLR", T_max=5000, by_epoch=False)],
        "randomness": dict(seed=5),
        "log_processor": dict(by_epoch=False),
        "log_level": "INFO",
    }


@dataclass
class Counts:
    """What a suite of faults found.

    Attributes:
        faults: Faults put in, by kind.
        lost: Runs that lost more than the last interval, or ended with other weights than without faults.
        half: Files that bear a checkpoint's name and are not whole.
        hung: Processes that did not end in time.
        silent: Faults after which a run went on wrongly without a word.
        raw: Runs that ended with a traceback.
    """

    faults: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    half: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)

    def put_in(self, kind: str) -> None:
        """Counts a fault."""
        self.faults[kind] = self.faults.get(kind, 0) + 1

    def failures(self) -> list[str]:
        """All that went wrong, a sentence each."""
        return [*self.lost, *self.half, *self.hung, *self.silent, *self.raw]

    def __str__(self) -> str:
        put_in = ", ".join(f"{count} {kind}" for kind, count in self.faults.items())
        found = ", ".join(f"{len(getattr(self, name))} {name}" for name in ("lost", "half", "hung", "silent", "raw"))
        return f"{sum(self.faults.values())} faults ({put_in}): {found}"


class TinyRun:
    """A run in a work dir, started again and again.

    Args:
        name: ``mask_rcnn``, ``upernet``, ``simmim`` or ``classifier``.
        folder: An empty folder for its data, config and work dir.
        counts: Where it notes what went wrong.
        keep: Checkpoints that it keeps.
    """

    def __init__(self, name: str, folder: Path, counts: Counts, keep: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.folder, self.counts = name, folder, counts
        self.data = write_tiny_nuclei(folder / "data/tiny")  # where the configs look
        self.work_dir = folder / "run"
        self.config = folder / "config.py"
        self.starts = 0
        Config(recipe(name, keep)).dump(self.config)

    def start(self, end: int, *options: str, work_dir: Path | None = None) -> subprocess.Popen:
        """Starts the run, to go on up to iteration ``end``. Its output goes to :attr:`log`."""
        self.starts += 1
        per_epoch = PER_EPOCH.get(self.name)
        limit = f"max_epochs={-(-end // per_epoch)}" if per_epoch else f"max_iters={end}"
        arguments = command("train.py", self.config, "--work-dir", work_dir or self.work_dir, "--resume", *options)
        with self.log.open("w") as log:
            process = subprocess.Popen(
                [*arguments, "--cfg-options", f"train_cfg.{limit}"],
                cwd=self.folder,
                env=environment(self.data),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        atexit.register(process.kill)  # a suite that fails leaves none behind
        return process

    @property
    def log(self) -> Path:
        """Output of the last start."""
        return self.folder / f"start_{self.starts}.log"

    def wait(self, process: subprocess.Popen, what: str) -> int:
        """Waits for the end of a process, and looks at how it ended."""
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.counts.hung.append(f"{self.name}: {what}: no end after {PATIENCE} s, see {self.log}")
            process.kill()
            status = process.wait()
        if "Traceback (most recent call last)" in self.log.read_text(errors="replace"):
            self.counts.raw.append(f"{self.name}: {what}: a traceback, see {self.log}")
        return status

    def wait_for_iterations(self, process: subprocess.Popen) -> bool:
        """Waits for the first iteration of a start; False if it ended before."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.done_in_log():
                return True
            if process.poll() is not None:
                return False
            time.sleep(0.01)
        self.counts.hung.append(f"{self.name}: no iteration after {PATIENCE} s, see {self.log}")
        return False

    def done_in_log(self) -> int:
        """The last iteration of this start that the log tells of; 0 if none."""
        text = self.log.read_text(errors="replace")
        return max((int(number) for number in re.findall(r"Iter\(train\) \[ *(\d+)/", text)), default=0)

    def newest(self) -> int:
        """Iterations of the newest whole checkpoint; 0 if there is none."""
        path = newest_whole([self.work_dir]).path
        seal = read_seal(path, "") if path else None
        return seal.iter if seal else 0

    def check_kept(self, what: str, done: int) -> None:
        """After a fault: nothing older than the last interval is lost, and every checkpoint is whole."""
        newest, passed_over = newest_whole([self.work_dir])
        self.counts.half += [f"{self.name}: {what}: {line}" for line in passed_over]
        kept = self.newest() if newest else 0
        if done - kept > INTERVAL:
            self.counts.lost.append(f"{self.name}: {what}: {done} iterations were done, {kept} are kept")

    def check_resumed(self, what: str, newest: int) -> None:
        """After a start: it went on from the newest whole checkpoint."""
        found = re.search(r"resumed epoch: \d+, iter: (\d+)", self.log.read_text(errors="replace"))
        went_on = int(found[1]) if found else 0
        if went_on != newest:
            self.counts.silent.append(f"{self.name}: {what}: {newest} iterations were kept, it began at {went_on}")

    def finish(self) -> None:
        """Runs to an end a little further on, and compares with a run to the same end that nothing disturbed."""
        end = self.newest() + 3
        end += -end % PER_EPOCH.get(self.name, 1)
        for work_dir, what in ((self.work_dir, "the last start"), (self.folder / "whole", "the undisturbed run")):
            status = self.wait(self.start(end, work_dir=work_dir), what)
            if status:
                self.counts.lost.append(f"{self.name}: {what} ended with status {status}, see {self.log}")
                return
        weights = [
            read_checkpoint(str(folder / f"iter_{end}.pth")).content["state_dict"]
            for folder in (self.work_dir, self.folder / "whole")
        ]
        differing = [name for name, tensor in weights[0].items() if not torch.equal(tensor, weights[1][name])]
        if differing:
            self.counts.lost.append(f"{self.name}: other weights than without faults, first {differing[0]}")


def kill(process: subprocess.Popen) -> None:
    """Kills a process without a chance to tidy up."""
    process.send_signal(signal.SIGKILL)
    process.wait()
