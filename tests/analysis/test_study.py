"""A study does everything once, in the right order, and goes on where it was interrupted."""

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.runner import save_checkpoint
from rich.console import Console

from mmswinv2.analysis import study, study_clock
from mmswinv2.analysis.study import Measurement, Study, Trained, Training, logged, tested, validated
from mmswinv2.analysis.study_clock import Clock, format_time
from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.errors import CheckpointError, EnvironmentProblem, TrainingError

SIMMIM = "demo/simmim_swinv2_photos.py"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Mapping[str, object]]]:
    """The commands that a study gives, in place of their work: (name of the work dir, options)."""
    given: list[tuple[str, Mapping[str, object]]] = []

    def command(config: Path, folder: Path, options: Mapping[str, object]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if options.get("fails"):
            raise TrainingError("it failed")
        (folder / "iter_9.pth").touch()
        (folder / "last_checkpoint").write_text(str(folder / "iter_9.pth"))
        given.append((folder.name, options))

    monkeypatch.setattr(study, "run_training", command)
    return given


def measurement(name: str, training: Training) -> Measurement:
    return Measurement(name, training, lambda trained: trained.folder.name)


def test_trainings_come_before_what_starts_from_them_and_once(commands: list, tmp_path: Path) -> None:
    """Two fine-tunings of one pretraining: it runs first, once, and both get its checkpoint."""
    first = Training("first", SIMMIM)
    whole = Training("whole", SIMMIM, (("randomness.seed", 1),), start=first)
    backbone = Training("backbone", SIMMIM, backbone_start=first)
    measured = Study(tmp_path, {}).run([measurement("a", whole), measurement("b", backbone), measurement("c", whole)])
    assert measured == {"a": "whole", "b": "backbone", "c": "whole"}
    checkpoint = tmp_path / "runs/first/iter_9.pth"
    init = {"model.backbone.init_cfg.type": "Pretrained", "model.backbone.init_cfg.checkpoint": checkpoint}
    assert commands == [("first", {}), ("whole", {"randomness.seed": 1, "load_from": checkpoint}), ("backbone", init)]


def test_a_measurement_may_need_no_training(commands: list, tmp_path: Path) -> None:
    """Such as one of an untrained model."""
    assert Study(tmp_path, {}).run([Measurement("a", None, lambda: 3)]) == {"a": 3}
    assert not commands


def test_what_is_done_is_not_done_again(commands: list, tmp_path: Path) -> None:
    """After an interruption the study goes on: measured values stay, and their trainings are not needed any more."""
    first, second = (Training(name, SIMMIM) for name in ("first", "second"))

    def interrupted(trained: Trained) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Study(tmp_path, {"seeds": 3}).run([measurement("a", first), Measurement("b", second, interrupted)])
    assert [name for name, _ in commands] == ["first", "second"]
    (tmp_path / "runs/first/iter_9.pth").unlink()  # cleared away, as what was measured of it is known
    measured = Study(tmp_path, {"seeds": 3}).run([measurement("a", first), measurement("b", second)])
    assert measured == {"a": "first", "b": "second"}
    assert [name for name, _ in commands] == ["first", "second"]


def test_a_checkpoint_that_was_cleared_away_is_made_again_where_it_is_needed(commands: list, tmp_path: Path) -> None:
    training = Training("first", SIMMIM)
    Study(tmp_path, {}).run([measurement("a", training)])
    (tmp_path / "runs/first/iter_9.pth").unlink()
    Study(tmp_path, {}).run([measurement("a", training), measurement("b", training)])
    assert [name for name, _ in commands] == ["first", "first"]


def test_results_of_other_settings_are_refused(commands: list, tmp_path: Path) -> None:
    Study(tmp_path, {"seeds": 3}).run([measurement("a", Training("first", SIMMIM))])
    with pytest.raises(EnvironmentProblem, match=r"results\.json has the results .*'seeds': 3.*not .*'seeds': 2"):
        Study(tmp_path, {"seeds": 2})


def test_a_training_that_fails_ends_the_study(commands: list, tmp_path: Path) -> None:
    """What was measured before stays."""
    good, bad = Training("good", SIMMIM), Training("bad", SIMMIM, (("fails", True),))
    with pytest.raises(TrainingError, match="it failed"):
        Study(tmp_path, {}).run([measurement("a", good), measurement("b", bad)])
    assert list(json.loads((tmp_path / "results.json").read_text())["measurements"]) == ["a"]


def test_a_training_that_may_diverge_is_measured_without_a_checkpoint(commands: list, tmp_path: Path) -> None:
    """Only a loss that is not finite counts as divergence, no other failure."""
    training = Training("wild", SIMMIM, (("fails", True),), may_diverge=True)
    with pytest.raises(TrainingError, match="it failed"):
        Study(tmp_path, {}).run([measurement("a", training)])
    (tmp_path / "runs/wild/bad_batch_iter_3.json").touch()
    for _ in range(2):  # the second time it is known
        measured = Study(tmp_path, {}).run([Measurement("b", training, lambda trained: trained.checkpoint is None)])
    assert measured == {"b": True}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A real SimMIM of two iterations, in a folder with a space in its name."""
    training = Training("simmim", SIMMIM, SHORT)
    return take_trained(Study(tmp_path_factory.mktemp("my studies"), {}), training)


SHORT = (
    ("train_cfg.max_iters", 2),
    ("train_cfg.val_interval", 2),
    ("param_scheduler.0.end", 1),
    ("param_scheduler.1.begin", 1),
    ("param_scheduler.1.end", 2),
    ("train_dataloader.batch_size", 2),
    ("val_dataloader.dataset.indices", 2),
    ("test_dataloader.dataset.indices", 2),
    ("default_hooks.logger.log_metric_by_epoch", False),
    ("model.backbone.arch.depths", (1, 1, 1)),
)


_numbers = itertools.count()


def take_trained(study: Study, training: Training) -> Trained:
    """Runs a training if need be; returns what a measurement of it is given."""
    taken: list[Trained] = []

    def take(trained: Trained) -> int:
        taken.append(trained)
        return 0

    study.run([Measurement(f"taken {next(_numbers)}", training, take)])
    return taken[0]


def test_a_training_whose_checkpoint_is_gone_begins_anew(trained: Trained) -> None:
    """Not resumed: there is nothing to go on from."""
    assert trained.checkpoint is not None
    study = Study(trained.folder.parents[1], {})
    trained.checkpoint.unlink()
    assert take_trained(study, Training("simmim", SIMMIM, SHORT)) == trained
    assert trained.checkpoint.is_file()


def test_a_validation_that_was_lost_is_made_up_for_by_a_test(trained: Trained, tmp_path: Path) -> None:
    """The training was killed in it and went on: its log has none of the last step."""
    [validation] = validated(trained)
    assert validation["step"] == 2
    bare = replace(trained, folder=tmp_path)  # without a log
    [instead] = validated(bare)
    assert instead["step"] == 2
    assert instead["reconstruction/l1"] == pytest.approx(validation["reconstruction/l1"], rel=1e-4)


def test_a_checkpoint_that_lacks_weights_is_not_tested(trained: Trained, tmp_path: Path) -> None:
    state = read_checkpoint(str(trained.checkpoint)).content["state_dict"]
    lacking = tmp_path / "iter_2.pth"
    save_checkpoint(
        {"state_dict": {name: w for name, w in state.items() if "qkv" not in name}, "meta": {}}, str(lacking)
    )
    with pytest.raises(CheckpointError, match="qkv"):
        tested()(replace(trained, checkpoint=lacking))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no list of open files on this system")
def test_tests_leave_no_file_open(trained: Trained) -> None:
    """A study has hundreds of them in one process."""
    tested()(trained)
    before = set(os.listdir("/proc/self/fd"))
    tested()(trained)
    assert len(set(os.listdir("/proc/self/fd")) - before) == 0


def test_the_log_of_a_resumed_training_has_each_iteration_once(tmp_path: Path) -> None:
    """A killed run logged iterations that the resumed one did again. Validations are apart."""
    starts: list[list[dict[str, Any]]] = [
        [{"iter": 1, "step": 1, "loss": 5}, {"iter": 2, "step": 2, "loss": 4}, {"accuracy/top1": 40, "step": 2}],
        [{"iter": 2, "step": 2, "loss": 3}, {"accuracy/top1": 45, "step": 2}, {"accuracy/top1": 50, "step": 3}],
    ]
    for index, records in enumerate(starts):
        folder = tmp_path / f"2026010{index}_000000" / "vis_data"
        folder.mkdir(parents=True)
        (folder / "scalars.json").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    trained = Trained(Path(SIMMIM), (), tmp_path, tmp_path / "iter_3.pth")
    assert [(record["iter"], record["loss"]) for record in logged(trained)] == [(1, 5), (2, 3)]
    assert [(record["step"], record["accuracy/top1"]) for record in validated(trained)] == [(2, 45), (3, 50)]


def test_the_time_left_is_told_at_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a resumed training took less than the whole, so it tells nothing of the pace."""
    resumed, first, second = (Training(name, SIMMIM, cost=10) for name in ("resumed", "first", "second"))
    console = Console(record=True, width=80)
    clock = Clock([resumed, first, second], console)
    now = iter((0, 5, 5, 605, 605, 1205))
    monkeypatch.setattr(study_clock, "time", SimpleNamespace(monotonic=lambda: next(now)))  # not that of other threads
    for training in (resumed, first, second):
        with clock.step(training, resumed=training is resumed):
            pass
    told = console.export_text().splitlines()
    assert told == ["[1/3] train resumed", "[2/3] train first", "[3/3] train second, about 10 min left"]


def test_lengths_of_time() -> None:
    assert [format_time(seconds) for seconds in (20, 95, 3600, 3900)] == ["0 min", "2 min", "1:00 h", "1:05 h"]
