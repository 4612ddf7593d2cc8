"""tools/train.py killed within an epoch, without a chance to tidy up, then resumed: as if it had never stopped.

Their configs use what long runs need: best checkpoint, averaged weights, gradient accumulation and clipping, logs
for TensorBoard and as JSON.
"""

import csv
import json
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmswinv2.checkpoint import read_checkpoint

from ..engine.tiny_training import CLASSIFIER, EPOCHS, ITERATIONS, SIMMIM, training
from .support import run_tool

COUNT, KILLED, SAVED = 15, 9, 8
LAST = f"iter_{COUNT}.pth"


class Runs(NamedTuple):
    """A run to the end, and one that was killed and resumed: their work dirs, and the config of the first."""

    whole: Path
    resumed: Path
    config: Path


def recipe(name: str) -> dict[str, Any]:
    """Classifier by epoch, or SimMIM by iteration."""
    evaluation = dict(
        batch_size=3,
        num_workers=0,
        dataset=dict(type="SeededCrops", size=9),
        sampler=dict(type="mmswinv2.ResumableSampler", shuffle=False),
        collate_fn=dict(type="default_collate"),
    )
    if name == "classifier":
        config, metric, key = training(CLASSIFIER, **EPOCHS), "mmswinv2.Accuracy", "accuracy/top1"
        config["optim_wrapper"]["accumulative_counts"] = 2
    else:
        config, metric, key = training(SIMMIM, **ITERATIONS), "mmswinv2.ReconstructionError", "reconstruction/l1"
        config["train_cfg"]["val_interval"] = 5
    config["default_hooks"]["checkpoint"].update(save_best=key, rule="greater" if name == "classifier" else "less")
    return {
        **config,
        "custom_imports": dict(imports=["tests.engine.tiny_training"], allow_failed_imports=False),
        "custom_hooks": [dict(type="EMAHook", momentum=0.1)],
        "val_dataloader": evaluation,
        "val_cfg": dict(type="ValLoop"),
        "val_evaluator": dict(type=metric),
        "test_dataloader": evaluation,
        "test_cfg": dict(type="TestLoop"),
        "test_evaluator": dict(type=metric),
        "log_processor": dict(type="LogProcessor", window_size=1, by_epoch=name == "classifier"),
        "visualizer": dict(
            type="Visualizer", vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
        ),
        "log_level": "INFO",
    }


@pytest.fixture(scope="module", params=["classifier", pytest.param("simmim", marks=pytest.mark.full)])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The run that is never stopped loads in this process, the resumed one with two workers."""
    folder = tmp_path_factory.mktemp(request.param)
    config = recipe(request.param)
    Config(config).dump(folder / "whole.py")
    config["train_dataloader"]["num_workers"] = 2
    Config(config).dump(folder / "workers.py")
    config["custom_hooks"].append(dict(type="Kill", after=KILLED))
    Config(config).dump(folder / "killed.py")

    def train(name: str, work_dir: str, *options: str) -> int:
        result = run_tool("train.py", folder / name, "--work-dir", folder / work_dir, *options, root=folder, cwd=folder)
        assert result.returncode in (0, -signal.SIGKILL), result.stderr
        return result.returncode

    assert train("whole.py", "whole") == 0
    assert train("killed.py", "resumed") == -signal.SIGKILL
    assert find_latest_checkpoint(str(folder / "resumed")).endswith(f"iter_{SAVED}.pth")
    assert train("workers.py", "resumed", "--resume") == 0
    return Runs(folder / "whole", folder / "resumed", folder / "whole.py")


def logged(work_dir: Path) -> list[list[dict]]:
    """The JSON log of each start of a run, an entry an iteration or evaluation."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


def curve(log: list[dict]) -> dict[int, tuple[float, float, float]]:
    """Loss, learning rate and gradient norm by iteration."""
    return {entry["iter"]: (entry["loss"], entry["lr"], entry.get("grad_norm")) for entry in log if "loss" in entry}


def test_loss_curve_is_the_same(runs: Runs) -> None:
    """Bit by bit, and with the number of each iteration, which shows that an epoch ends where it should."""
    (whole,) = logged(runs.whole)
    killed, resumed = logged(runs.resumed)
    assert list(curve(whole)) == list(range(1, COUNT + 1))
    assert list(curve(killed)) == list(range(1, KILLED + 1))
    assert list(curve(resumed)) == list(range(SAVED + 1, COUNT + 1))
    assert {**curve(killed), **curve(resumed)} == curve(whole)
    scores = [{key: value for key, value in entry.items() if "/" in key} for entry in whole if "loss" not in entry]
    later = [{key: value for key, value in entry.items() if "/" in key} for entry in resumed if "loss" not in entry]
    assert len(scores) == 3 and later == scores[1:]


def test_weights_averages_and_optimizer_are_the_same(runs: Runs) -> None:
    whole, resumed = (read_checkpoint(str(folder / LAST)).content for folder in (runs.whole, runs.resumed))
    for key in ("state_dict", "ema_state_dict"):
        assert whole[key].keys() == resumed[key].keys()
        assert all(torch.equal(tensor, resumed[key][name]) for name, tensor in whole[key].items())
    raw = {name.removeprefix("module."): tensor for name, tensor in whole["ema_state_dict"].items()}
    assert any(not torch.equal(tensor, raw[name]) for name, tensor in whole["state_dict"].items())
    for number, state in whole["optimizer"]["state"].items():
        assert all(torch.equal(tensor, resumed["optimizer"]["state"][number][name]) for name, tensor in state.items())


def test_best_checkpoint_is_kept(runs: Runs) -> None:
    """One, of the best evaluation, before the kill or after it."""
    (log,) = logged(runs.whole)
    name, score = ("accuracy/top1", max) if "simmim" not in str(runs.whole) else ("reconstruction/l1", min)
    best = score(entry[name] for entry in log if name in entry)
    for folder in (runs.whole, runs.resumed):
        (file,) = folder.glob("best_*.pth")
        content = read_checkpoint(str(file)).content
        assert content["message_hub"]["runtime_info"]["best_score"] == best


def test_tensorboard_has_the_curve(runs: Runs) -> None:
    (log,) = logged(runs.whole)
    (events,) = runs.whole.glob("*/vis_data/events.*")
    board = EventAccumulator(str(events)).Reload()
    expected = {iteration: loss for iteration, (loss, *_) in curve(log).items()}
    assert {event.step: event.value for event in board.Scalars("loss")} == pytest.approx(expected)


def test_test_tool_scores_the_best_and_writes_predictions(runs: Runs) -> None:
    """tools/test.py gives the score of training; --out a row an image, for the classifier."""
    (file,) = runs.resumed.glob("best_*.pth")
    folder = runs.config.parent
    simmim = "simmim" in str(folder)
    out = folder / ("out.pkl" if simmim else "out.csv")
    options = ("--work-dir", folder / "test", "--out", out)
    result = run_tool("test.py", runs.config, file, *options, root=folder, cwd=folder)
    assert result.returncode == 0, result.stderr
    (scores,) = [json.loads(file.read_text()) for file in (folder / "test").glob("*/*.json")]
    content = read_checkpoint(str(file)).content
    best = content["message_hub"]["runtime_info"]["best_score"]
    assert scores["reconstruction/l1" if simmim else "accuracy/top1"] == pytest.approx(best, rel=1e-6)
    if not simmim:
        rows = list(csv.DictReader(out.open()))
        right = sum(row["label"] == row["predicted"] for row in rows)
        assert len(rows) == 9 and 100 * right / 9 == pytest.approx(best)
        assert all(Path(row["image"]).is_file() and row["label"] in "abcd" for row in rows)
