"""A run that was stopped goes on as if it had not been: every later loss and weight is the same, bit by bit."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import Runner

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.errors import ConfigError

from .tiny_training import CLASSIFIER, EPOCHS, ITERATIONS, SIMMIM, Record, SeededCrops, StoppedError, training

COUNT = 15  # iterations of a whole run, 5 an epoch
LOOPS = {"epochs": EPOCHS, "iterations": ITERATIONS}


def run(config: dict[str, Any], folder: Path, stop_after: int | None = None, **changes: Any) -> tuple[Runner, Record]:
    """Trains in this process, to the end or until it is stopped."""
    record = Record(stop_after)
    config = copy.deepcopy({**config, **changes})
    runner = Runner(**config, work_dir=str(folder), custom_hooks=[record], experiment_name=f"{folder}{len(changes)}")
    try:
        runner.train()
    except StoppedError:
        assert runner.iter + 1 == stop_after
    return runner, record


def check_resumed(config: dict, folder: Path, stop: int, saved: int, **changes: Any) -> Record:
    """Compares a whole run with one that was stopped, then resumed from iteration ``saved`` with ``changes``."""
    whole, expected = run(config, folder / "whole")
    assert list(expected.losses) == list(range(COUNT))
    assert len({loss.item() for loss in expected.losses.values()}) == COUNT
    _, before = run(config, folder / "stopped", stop)
    checkpoint = folder / f"stopped/iter_{saved}.pth"
    resumed, after = run(config, folder / "stopped", resume=True, load_from=str(checkpoint), **changes)
    assert list(before.losses) == list(range(stop)) and list(after.losses) == list(range(saved, COUNT))
    for record in (before, after):
        for iteration, loss in record.losses.items():
            assert torch.equal(loss, expected.losses[iteration]), iteration
            assert record.batches[iteration] == expected.batches[iteration]
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    return after


@pytest.mark.parametrize(
    ("model", "loop", "workers"),
    [
        pytest.param(SIMMIM, "iterations", 2, id="simmim-iterations-2"),
        pytest.param(CLASSIFIER, "epochs", 0, id="classifier-epochs-0"),
        pytest.param(SIMMIM, "epochs", 2, id="simmim-epochs-2", marks=pytest.mark.full),
        pytest.param(CLASSIFIER, "iterations", 0, id="classifier-iterations-0", marks=pytest.mark.full),
    ],
)
def test_resumed_run_repeats_the_uninterrupted_one(model: dict, loop: str, workers: int, tmp_path: Path) -> None:
    """Stopped at 9, saved at 8: within the second epoch. Drop path, dropout, Mixup, crops and masks are drawn alike."""
    config = training(model, **LOOPS[loop])
    config["train_dataloader"]["num_workers"] = workers
    check_resumed(config, tmp_path, stop=9, saved=8)


@pytest.mark.full
@pytest.mark.parametrize("loop", LOOPS)
def test_resumes_between_accumulated_gradients(loop: str, tmp_path: Path) -> None:
    """Two batches an update: a checkpoint after an even number of iterations holds everything."""
    config = training(CLASSIFIER, **LOOPS[loop])
    config["optim_wrapper"]["accumulative_counts"] = 2
    check_resumed(config, tmp_path, stop=7, saved=6)


@pytest.mark.full
@pytest.mark.parametrize("loop", LOOPS)
def test_number_of_workers_does_not_matter(loop: str, tmp_path: Path) -> None:
    config = training(SIMMIM, **LOOPS[loop])
    loader = {**config["train_dataloader"], "num_workers": 2, "persistent_workers": True}
    check_resumed(config, tmp_path, stop=9, saved=8, train_dataloader=loader)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_run_without_a_seed_resumes_with_its_own(loop: str, tmp_path: Path) -> None:
    """The seed drawn at the start is in the checkpoint; the resumed run's sampler has drawn another."""
    config = training(SIMMIM, **LOOPS[loop], randomness=dict(seed=None))
    _, before = run(config, tmp_path, stop_after=9)
    options = dict(resume=True, load_from=str(tmp_path / "iter_8.pth"))
    _, after = run(config, tmp_path, stop_after=9, **options)
    assert torch.equal(after.losses[8], before.losses[8])


def test_workers_start_with_the_seed_of_the_resumed_run(tmp_path: Path) -> None:
    """Two workers load four batches ahead of the first iteration, so the seed has to be there before them."""
    config = training(SIMMIM, **ITERATIONS, randomness=dict(seed=None))
    config["train_dataloader"]["num_workers"] = 2
    _, before = run(config, tmp_path, stop_after=4)
    options = dict(resume=True, load_from=str(tmp_path / "iter_2.pth"))
    _, after = run(config, tmp_path, stop_after=4, **options)
    assert all(torch.equal(after.losses[iteration], before.losses[iteration]) for iteration in (2, 3))


@pytest.mark.parametrize("loop", LOOPS)
def test_what_was_seen_is_not_loaded_again(loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One iteration of four samples after a resume takes four samples."""
    config = training(SIMMIM, **LOOPS[loop])
    run(config, tmp_path, stop_after=9)
    loaded, sample = [], SeededCrops.sample
    monkeypatch.setattr(SeededCrops, "sample", lambda self, index: loaded.append(index) or sample(self, index))
    run(config, tmp_path, stop_after=9, resume=True, load_from=str(tmp_path / "iter_8.pth"))
    assert len(loaded) == 4


def test_a_checkpoint_of_an_epoch_s_last_iteration_ends_the_epoch(tmp_path: Path) -> None:
    """Nothing of the epoch is left but its end, which then takes place."""
    config = training(CLASSIFIER, **EPOCHS)
    record = check_resumed(config, tmp_path, stop=11, saved=10)
    assert record.batches[10] == 0


def test_checkpoints_by_epoch_resume_too(tmp_path: Path) -> None:
    config = training(CLASSIFIER, **EPOCHS)
    config["default_hooks"]["checkpoint"] = dict(type="CheckpointHook", interval=1)
    _, expected = run(config, tmp_path / "whole")
    _, after = run(config, tmp_path / "resumed", resume=True, load_from=str(tmp_path / "whole/epoch_2.pth"))
    assert list(after.losses) == list(range(10, COUNT))
    assert all(torch.equal(loss, expected.losses[iteration]) for iteration, loss in after.losses.items())


def test_an_epoch_s_place_survives_another_epoch_length_before(tmp_path: Path) -> None:
    """With other GPUs or batches an epoch gets another length; what follows must not count with one length."""
    config = training(SIMMIM, **EPOCHS)
    config["default_hooks"]["checkpoint"] = dict(type="CheckpointHook", interval=1)
    run(config, tmp_path / "first", stop_after=7)
    config["default_hooks"]["checkpoint"] = dict(type="CheckpointHook", interval=1, by_epoch=False)
    config["train_dataloader"]["batch_size"] = 2  # 11 iterations an epoch instead of 5
    options = dict(resume=True, load_from=str(tmp_path / "first/epoch_1.pth"))
    _, second = run(config, tmp_path / "second", stop_after=9, **options)
    assert second.batches == {iteration: iteration - 5 for iteration in range(5, 9)}
    _, third = run(config, tmp_path / "third", resume=True, load_from=str(tmp_path / "second/iter_8.pth"))
    assert third.batches[8] == 3 and torch.equal(third.losses[8], second.losses[8])
    assert third.batches[15] == 10 and third.batches[16] == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_with_another_batch_size_within_an_epoch_each_sample_is_seen_once(
    loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 22 images 8 are seen in batches of 4. The other 14 follow in batches of 2; one checkpoint later too."""
    seen: list[int] = []
    sample = SeededCrops.sample
    monkeypatch.setattr(SeededCrops, "sample", lambda self, index: seen.append(int(index)) or sample(self, index))
    config = training(SIMMIM, **LOOPS[loop])
    run(config, tmp_path, stop_after=2)
    first, config["train_dataloader"]["batch_size"] = seen[:8], 2
    seen.clear()
    run(config, tmp_path, stop_after=5, resume=True, load_from=str(tmp_path / "iter_2.pth"))
    second = seen[:4]
    seen.clear()
    run(config, tmp_path, stop_after=9, resume=True, load_from=str(tmp_path / "iter_4.pth"))
    assert sorted([*first, *second, *seen[:10]]) == list(range(22))


def test_batches_that_are_put_together_keep_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where images of like shapes share a batch, their number does not tell which were had."""
    entry = {"width": 2, "height": 1, "label": 0, "img_path": ""}
    monkeypatch.setattr(SeededCrops, "get_data_info", lambda self, index: entry)
    config = training(SIMMIM, **EPOCHS)
    loader = config["train_dataloader"]
    grouping = dict(type="mmdet.AspectRatioBatchSampler", drop_last=loader.pop("drop_last"))
    loader["batch_sampler"] = dict(type="mmswinv2.ResumableBatchSampler", batch_sampler=grouping)
    run(config, tmp_path, stop_after=3)
    loader["batch_size"] = 2
    with pytest.raises(ConfigError, match="the run had 4 images in an iteration, now it has 2"):
        run(config, tmp_path, resume=True, load_from=str(tmp_path / "iter_2.pth"))


def test_checkpoint_stays_readable(tmp_path: Path) -> None:
    """What the loops keep in a checkpoint is plain data, which the safe reader takes."""
    run(training(SIMMIM, **EPOCHS), tmp_path, stop_after=7)
    content = read_checkpoint(str(tmp_path / "iter_6.pth")).content
    place = content["message_hub"]["runtime_info"]["data_place"]
    assert place == {"epoch": 1, "iter": 5, "samples": 0, "batch": 4, "grouped": False}


@pytest.mark.parametrize(
    ("loop", "change"),
    [
        ("epochs", dict(sampler=dict(type="DefaultSampler", shuffle=True))),
        ("epochs", dict(sampler=ITERATIONS["sampler"])),
        ("iterations", dict(sampler=EPOCHS["sampler"])),
        ("iterations", dict(sampler=dict(type="InfiniteSampler"))),
    ],
)
def test_a_sampler_without_a_place_is_refused(loop: str, change: dict, tmp_path: Path) -> None:
    config = training(SIMMIM, **LOOPS[loop])
    config["train_dataloader"].update(change)
    infinite = loop == "iterations"
    with pytest.raises(ConfigError, match=rf"ResumableSampler', infinite={infinite}\)"):
        run(config, tmp_path)
