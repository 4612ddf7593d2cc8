"""A study: trainings and measurements of what they made, each done once, however often the study is interrupted.

Trainings are commands of this package, as a user gives them, each in a process of its own.
"""

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console

from ..errors import EnvironmentProblem, TrainingError
from .study_clock import Clock

ROOT = Path(__file__).resolve().parents[2]  # of the checkout
CONFIGS = ROOT / "configs"
Options = tuple[tuple[str, object], ...]  # of --cfg-options: (key, value)
NO_VALIDATION = ("train_cfg.val_begin", 10**6)  # later than any training ends; a loop else validates at its end
SHOWN_LINES = 20  # of the log of a command that failed


@dataclass(frozen=True)
class Training:
    """A run of ``mmswinv2 train``.

    The study knows it by its name alone: whoever changes the config or the options takes another work dir.

    Attributes:
        name: Folder of its work dir, unique in the study.
        config: Config file below ``configs/``.
        options: Settings that override the config's.
        start: A training whose last checkpoint the model starts from, whole; None: as the config says.
        backbone_start: A training whose backbone the model's backbone starts from; None: as the config says.
        cost: How long it takes beside others of the study, in any unit; for the time that is left.
        may_diverge: Whether a loss that is not finite is a result of the study and no failure.
    """

    name: str
    config: str
    options: Options = ()
    start: "Training | None" = None
    backbone_start: "Training | None" = None
    cost: float = 1.0
    may_diverge: bool = False

    kind: ClassVar[str] = "train"

    @property
    def needs(self) -> list["Training"]:
        """The trainings that come before it."""
        return [training for training in (self.start, self.backbone_start) if training is not None]


@dataclass(frozen=True)
class Trained:
    """A training that has ended.

    Attributes:
        config: Its config file.
        options: Settings that override the config's.
        folder: Its work dir.
        checkpoint: Its last checkpoint; None: it diverged.
    """

    config: Path
    options: Options
    folder: Path
    checkpoint: Path | None


@dataclass(frozen=True)
class Measurement:
    """Something that is measured once.

    Attributes:
        name: Unique in the study.
        training: The training that is measured; None: ``measure`` needs none.
        measure: Is given the :class:`Trained`, if there is a training. Returns what ``results.json`` is to have of it,
            plain numbers, lists and dicts.
        cost: As in :class:`Training`.
    """

    name: str
    training: Training | None
    measure: Callable[..., Any]
    cost: float = 1.0

    kind: ClassVar[str] = "measure"


class Study:
    """Runs measurements and the trainings that they need, and keeps what was measured in ``results.json``.

    Args:
        work_dir: Folder of all its files.
        settings: What its numbers depend on, such as the number of seeds. Results under other settings are refused.

    Raises:
        EnvironmentProblem: The folder has results under other settings, or this is an installed package, which has no
            configs and images beside it.
    """

    def __init__(self, work_dir: Path, settings: Mapping[str, Any]) -> None:
        if not (CONFIGS / "analysis").is_dir():
            raise EnvironmentProblem("The studies need a checkout of the repository, with its configs and images")
        self.work_dir = work_dir.resolve()
        self._file = self.work_dir / "results.json"
        self._results: dict[str, Any] = {"settings": dict(settings), "measurements": {}}
        self._console = Console()
        if self._file.exists():
            found = json.loads(self._file.read_text())
            if found["settings"] != self._results["settings"]:
                raise EnvironmentProblem(
                    f"{self._file} has the results of a study with {found['settings']}, not {dict(settings)}: choose "
                    "another --work-dir"
                )
            self._results = found

    def run(self, measurements: Sequence[Measurement]) -> dict[str, Any]:
        """Does what is not done yet.

        Args:
            measurements: All that the study consists of.

        Returns:
            What was measured, by name.

        Raises:
            TrainingError: A command failed; its log is named.
        """
        missing = [one for one in measurements if one.name not in self._results["measurements"]]
        clock = Clock([*self._trainings(missing), *missing], self._console)
        for one in missing:
            trained = [] if one.training is None else [self._trained(one.training, clock)]
            start = time.monotonic()
            with clock.step(one):
                value = one.measure(*trained)
            self._results["measurements"][one.name] = {"value": value, "seconds": round(time.monotonic() - start, 1)}
            self._write()
        return {one.name: self._results["measurements"][one.name]["value"] for one in measurements}

    def _trainings(self, measurements: Sequence[Measurement]) -> list[Training]:
        """The trainings that are still to be run for these measurements."""
        needed: dict[str, Training] = {}

        def add(training: Training) -> None:
            if training.name not in needed and not self._ended(training):
                for before in training.needs:
                    add(before)
                needed[training.name] = training

        for one in measurements:
            if one.training is not None:
                add(one.training)
        return list(needed.values())

    def _ended(self, training: Training) -> Trained | None:
        folder = self.work_dir / "runs" / training.name
        ended = folder / "ended.json"
        if not ended.exists():
            return None
        checkpoint = json.loads(ended.read_text())["checkpoint"]
        if checkpoint is not None and not (folder / checkpoint).exists():
            return None  # cleared away: it is needed again
        return Trained(CONFIGS / training.config, training.options, folder, folder / checkpoint if checkpoint else None)

    def _trained(self, training: Training, clock: "Clock") -> Trained:
        """Runs a training, or goes on with it, if it has not ended. One whose checkpoint is gone begins anew."""
        if ended := self._ended(training):
            return ended
        options = dict(training.options)
        if training.start is not None:
            options["load_from"] = self._trained(training.start, clock).checkpoint
        if training.backbone_start is not None:
            options["model.backbone.init_cfg.type"] = "Pretrained"
            options["model.backbone.init_cfg.checkpoint"] = self._trained(training.backbone_start, clock).checkpoint
        folder = self.work_dir / "runs" / training.name
        if (folder / "ended.json").exists():
            shutil.rmtree(folder)
        with clock.step(training, resumed=(folder / "last_checkpoint").exists()):
            try:
                run_training(CONFIGS / training.config, folder, options)
                checkpoint = Path((folder / "last_checkpoint").read_text().strip()).name
            except TrainingError:
                if not (training.may_diverge and diverged(folder)):
                    raise
                checkpoint = None
        (folder / "ended.json").write_text(json.dumps({"checkpoint": checkpoint}))
        return Trained(CONFIGS / training.config, training.options, folder, folder / checkpoint if checkpoint else None)

    def _write(self) -> None:
        self.work_dir.mkdir(parents=True, exist_ok=True)
        unfinished = self._file.with_suffix(".part")
        unfinished.write_text(json.dumps(self._results, indent=1))
        os.replace(unfinished, self._file)


def tested(options: Options = (), tune: bool = False) -> Callable[[Trained], dict[str, float]]:
    """Returns a measurement: the metrics that ``mmswinv2 test`` gives with these settings.

    It runs in this process, because a study has many of them and most are short. A checkpoint that lacks weights of the
    model is refused, as there.

    Args:
        options: Settings that override the config's.
        tune: Whether to train first, from the checkpoint, as ``train_cfg`` and the schedule of these settings say.
    """

    def measure(trained: Trained) -> dict[str, float]:
        assert trained.checkpoint is not None  # a training that may diverge is not tested
        cfg = Config.fromfile(trained.config)
        cfg.merge_from_dict({**dict(trained.options), **dict(options)})
        cfg.load_from = str(trained.checkpoint)
        cfg.log_level = "ERROR"
        cfg.experiment_name = f"measurement_{next(_numbers)}"  # MMEngine keeps loggers and visualizers by their names
        cfg.visualizer = dict(type="Visualizer", name=cfg.experiment_name)
        cfg.custom_hooks = [*cfg.get("custom_hooks", ()), dict(type="mmswinv2.WeightsCheckHook", whole_model=True)]
        with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
            cfg.work_dir = folder
            runner = Runner.from_cfg(cfg)
            try:
                if tune:
                    runner.train()
                metrics = runner.test()
            finally:
                for handler in runner.logger.handlers:  # MMEngine keeps them open
                    handler.close()
        return {name: float(value) for name, value in metrics.items()}  # some are NumPy's, which JSON lacks

    return measure


_numbers = itertools.count()


def logged(trained: Trained) -> list[dict[str, Any]]:
    """Returns the scalars that a training logged, MMEngine's ``scalars.json``, over all its starts, without overlap."""
    return _records(trained, lambda record: "iter" in record)


def validated(trained: Trained) -> list[dict[str, Any]]:
    """Returns the metrics of a training's validations, each with its ``step``, over all its starts, without overlap.

    The last one is that of the last checkpoint. A training that was killed in it and went on has none, and a test takes
    its place. The config has ``default_hooks=dict(logger=dict(log_metric_by_epoch=False))``, for the step to be the
    iteration, and the same data and metrics for tests as for validations.
    """
    assert trained.checkpoint is not None  # a training that may diverge is not validated
    records = _records(trained, lambda record: "iter" not in record)
    last = int(trained.checkpoint.stem.removeprefix("iter_"))
    if not records or records[-1]["step"] < last:
        records.append({**tested()(trained), "step": last})
    return records


def _records(trained: Trained, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The lines of ``scalars.json``, by their step; of a step that was done again the last one."""
    records: dict[int, dict[str, Any]] = {}
    for file in sorted(trained.folder.glob("*/vis_data/scalars.json")):
        for record in map(json.loads, file.read_text().splitlines()):
            if wanted(record):
                records[record["step"]] = record
    return [records[step] for step in sorted(records)]


def diverged(folder: Path) -> bool:
    """Whether the training in ``folder`` stopped at a loss or gradients that are not finite."""
    return any(folder.glob("bad_batch_iter_*.json"))


def run_training(config: Path, folder: Path, options: Mapping[str, object]) -> None:
    """Runs or resumes a training; what it prints goes to ``command.log`` in ``folder``.

    Raises:
        TrainingError: It failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = ["train", str(config), "--resume", "--work-dir", str(folder)]
    if options:
        words += ["--cfg-options", *(f"{key}={as_text(value)}" for key, value in options.items())]
    log = folder / "command.log"
    with open(log, "a") as file:
        print("mmswinv2", shlex.join(words), file=file, flush=True)
        process = [sys.executable, "-m", "mmswinv2", *words]
        status = subprocess.run(process, stdout=file, stderr=file, cwd=ROOT).returncode
    if status:
        last = "\n".join(log.read_text().splitlines()[-SHOWN_LINES:])
        raise TrainingError(f"mmswinv2 {shlex.join(words)}\nended with status {status}. The end of {log}:\n{last}")


def as_text(value: object) -> str:
    """Returns a value as ``--cfg-options`` reads it: tuples and lists without spaces, paths as they are."""
    return str(value) if isinstance(value, str | Path) else str(value).replace(" ", "")
