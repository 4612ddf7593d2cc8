"""A bad loss or gradient: the optimizer does not take it, the run stops or counts it, and nothing good is lost."""

import copy
import json
import re
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import Runner

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.engine import FiniteLossHook, PreemptionHook, ResumableSampler
from mmswinv2.errors import ConfigError, TrainingError

from . import faults
from .tiny_training import CLASSIFIER, EPOCHS, ITERATIONS, SIMMIM, Record, StoppedError, training

COUNT = 15
LOOPS = {"epochs": EPOCHS, "iterations": ITERATIONS}
NAN, HUGE = float("nan"), 1e30


def config_of(
    model: dict, loop: str = "iterations", spoilt: tuple[int, ...] = (), value: float = NAN
) -> dict[str, Any]:
    """A training on crops of which some are spoilt."""
    config = copy.deepcopy(training(model, **LOOPS[loop]))
    config["train_dataloader"]["dataset"] = dict(type="SpoiltCrops", size=22, spoilt=spoilt, value=value)
    return config


def run(
    config: dict[str, Any],
    folder: Path,
    stop_after: int | None = None,
    hook: FiniteLossHook | None = None,
    **changes: Any,
) -> tuple[Runner, Record]:
    """Trains in this process, with the hook unless it is None."""
    record = Record(stop_after)
    hooks = [record] if hook is None else [record, hook]
    runner = Runner(
        **copy.deepcopy({**config, **changes}),
        work_dir=str(folder),
        custom_hooks=hooks,
        experiment_name=f"{folder}{len(list(folder.parent.rglob('*')))}",
    )
    try:
        runner.train()
    except StoppedError:
        assert runner.iter + 1 == stop_after
    return runner, record


def order(loop: str = "iterations") -> list[list[int]]:
    """The indices of the samples of every iteration: 15 of 4 samples, 5 an epoch."""
    sampler = ResumableSampler(range(22), seed=3, infinite=loop == "iterations")
    if loop == "iterations":
        indices = list(islice(sampler, 4 * COUNT))
    else:
        indices = []
        for epoch in range(3):
            sampler.set_epoch(epoch)
            indices += islice(sampler, 20)
    return [[int(index) for index in indices[first : first + 4]] for first in range(0, 4 * COUNT, 4)]


def first_seen_late(batches: list[list[int]]) -> tuple[int, int]:
    """A sample that first comes after iteration 2, and the iteration, from 0, at which it does."""
    early = {index for batch in batches[:3] for index in batch}
    return next((index, number) for number, batch in enumerate(batches) for index in batch if index not in early)


def stopped(config: dict[str, Any], folder: Path, hook: FiniteLossHook | None = None) -> tuple[str, dict[str, Any]]:
    """What the user reads at the end of a run, and the report."""
    with pytest.raises(TrainingError) as error:
        run(config, folder, hook=hook or FiniteLossHook())
    (report,) = folder.glob("bad_batch_iter_*.json")
    return str(error.value), json.loads(report.read_text())


@pytest.mark.parametrize(
    ("model", "loop", "value"),
    [
        pytest.param(SIMMIM, "iterations", HUGE, id="simmim-huge"),
        pytest.param(CLASSIFIER, "epochs", NAN, id="classifier-nan"),
        pytest.param(SIMMIM, "iterations", NAN, id="simmim-nan", marks=pytest.mark.full),
        pytest.param(CLASSIFIER, "epochs", HUGE, id="classifier-huge", marks=pytest.mark.full),
    ],
)
def test_a_bad_loss_stops_before_the_optimizer_takes_it(model: dict, loop: str, value: float, tmp_path: Path) -> None:
    """What is kept is what a run has that ends one iteration before; resumed on good data, it goes on like that run."""
    index, at = first_seen_late(order(loop))
    message, report = stopped(config_of(model, loop, (index,), value), tmp_path / "bad")
    assert report["iteration"] == at + 1 and f"number {index}" in report["images"]
    assert report["losses"]["loss"] == "nan" and report["what"] == "loss"
    layer = "data_preprocessor" if value is NAN else "backbone.patch_embed.norm"
    assert report["culprit"]["name"] == layer
    for text in (f"Iteration {at + 1}: ", f"number {index}", f"is not finite: {layer} (", f"iter_{at}.pth", "loss nan"):
        assert text in message
    assert f"mmswinv2 replay {tmp_path}/bad/bad_batch_iter_{at + 1}.json" in message

    good = config_of(model, loop)
    whole, expected = run(good, tmp_path / "whole", hook=FiniteLossHook())
    options = dict(resume=True, load_from=str(tmp_path / f"bad/iter_{at}.pth"))
    resumed, after = run(good, tmp_path / "bad", hook=FiniteLossHook(), **options)
    assert list(after.losses) == list(range(at, COUNT))
    assert all(torch.equal(loss, expected.losses[number]) for number, loss in after.losses.items())
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


def test_a_good_run_is_the_same_with_the_hook(tmp_path: Path) -> None:
    """Bit by bit, Mixup and dropout included: the hook draws nothing, and times 1 changes nothing."""
    bare, before = run(config_of(CLASSIFIER, "epochs"), tmp_path / "bare")
    guarded, after = run(config_of(CLASSIFIER, "epochs"), tmp_path / "guarded", hook=FiniteLossHook())
    assert all(torch.equal(loss, before.losses[number]) for number, loss in after.losses.items())
    for name, tensor in bare.model.state_dict().items():
        assert torch.equal(tensor, guarded.model.state_dict()[name]), name


def test_single_bad_steps_are_left_out_and_counted(tmp_path: Path) -> None:
    """The optimizer has not moved, the count is in the scalars and in the checkpoint, and a resumed run agrees."""
    batches = order()
    index, at = first_seen_late(batches)
    config = config_of(SIMMIM, spoilt=(index,))
    times = sum(index in batch for batch in batches)
    whole, expected = run(config, tmp_path / "whole", hook=FiniteLossHook(skip_bad_steps=times))
    assert faults.is_finite(whole.model.state_dict())
    assert [number for number, loss in expected.losses.items() if loss.isnan()] == [
        number for number, batch in enumerate(batches) if index in batch
    ]
    assert whole.message_hub.get_scalar("train/bad_steps").current() == times
    content = read_checkpoint(str(tmp_path / f"whole/iter_{COUNT - 1}.pth")).content
    steps = {int(state["step"]) for state in content["optimizer"]["state"].values()}
    assert steps == {COUNT - 1 - sum(index in batch for batch in batches[: COUNT - 1])}
    assert content["message_hub"]["runtime_info"]["bad_steps"]["count"] == COUNT - 1 - steps.pop()

    saved = at + 2 - at % 2  # the checkpoint after the bad step
    run(config, tmp_path / "halves", stop_after=saved, hook=FiniteLossHook(skip_bad_steps=times))
    options = dict(resume=True, load_from=str(tmp_path / f"halves/iter_{saved}.pth"))
    resumed, _ = run(config, tmp_path / "halves", hook=FiniteLossHook(skip_bad_steps=times), **options)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert resumed.message_hub.get_info("bad_steps")["count"] == times


def test_two_bad_steps_in_a_row_stop(tmp_path: Path) -> None:
    """However many single ones may be left out."""
    batches = order()
    _, report = stopped(
        config_of(SIMMIM, spoilt=(batches[3][0], batches[4][0])), tmp_path / "bad", FiniteLossHook(skip_bad_steps=99)
    )
    bad = [number for number, batch in enumerate(batches) if {batches[3][0], batches[4][0]} & set(batch)]
    second = next(number for number in bad if number - 1 in bad)
    assert report["iteration"] == second + 1


def test_the_batch_is_named_whose_gradients_wait(tmp_path: Path) -> None:
    """Three batches an update: the loss of the first is bad, and the run ends at the third."""
    batches = order()
    index, at = next(
        (index, number)
        for number, batch in enumerate(batches)
        for index in batch
        if number % 3 == 0 and number and index not in {one for before in batches[:number] for one in before}
    )
    config = config_of(SIMMIM, spoilt=(index,))
    config["optim_wrapper"]["accumulative_counts"] = 3
    _, report = stopped(config, tmp_path / "bad")
    assert report["iteration"] == at + 1 and f"number {index}" in report["images"]
    assert report["losses"]["loss"] == "nan"


def test_gradients_may_be_bad_alone(tmp_path: Path) -> None:
    """A finite loss with a gradient that is none would spoil the weights as well."""
    message, report = stopped(config_of({**CLASSIFIER, "type": "RootClassifier"}), tmp_path / "bad")
    assert report["iteration"] == 1 and report["what"] == "gradients" and report["culprit"] is None
    assert report["bad_gradients"] == ["backbone.layers.1.blocks.0.mlp.fc1.weight"]
    assert "gradients begin to be bad: backbone.layers.1.blocks.0.mlp.fc1 (" in message


def test_a_loss_beyond_the_bound_stops(tmp_path: Path) -> None:
    """It is finite, but no loss of a training that learns; the bound can be moved."""
    index, _ = first_seen_late(order())
    config = config_of(SIMMIM, spoilt=(index,), value=1e12)
    config["model"]["target_window"] = None  # so that the pixel itself is to be predicted
    message, report = stopped(config, tmp_path / "bad")
    assert 1e6 < report["losses"]["loss"] < 1e13
    assert "all outputs are finite; the largest, " in message
    run(config, tmp_path / "good", hook=FiniteLossHook(max_loss=1e30))


def test_no_checkpoint_of_broken_weights_is_written(tmp_path: Path) -> None:
    """A run that begins with weights that are not finite says so, and keeps what is there."""

    class Break(FiniteLossHook):
        def before_train(self, runner: Runner) -> None:
            super().before_train(runner)
            with torch.no_grad():
                runner.model.head.weight[0, 0] = torch.nan

    message, report = stopped(config_of(CLASSIFIER), tmp_path, Break())
    assert "the weights themselves are not finite, and are not saved: head.weight" in message
    assert report["checkpoint"] is None and not list(tmp_path.glob("iter_*.pth"))


@pytest.mark.parametrize("spoilt", [False, True])
def test_mixed_precision_leaves_overflows_to_the_scaler(
    spoilt: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scale that is too large costs steps, as ever; a bad loss stops here too."""
    monkeypatch.setattr(amp_optimizer_wrapper, "is_cuda_available", lambda: True)  # MMEngine asserts a GPU
    monkeypatch.setattr(amp_optimizer_wrapper, "GradScaler", partial(torch.amp.GradScaler, "cpu"))
    index, at = first_seen_late(order())
    config = config_of(SIMMIM, spoilt=(index,) if spoilt else ())
    config["optim_wrapper"].update(
        type="AmpOptimWrapper", loss_scale=dict(init_scale=2.0**127, backoff_factor=2.0**-60)
    )
    if spoilt:
        _, report = stopped(config, tmp_path)
        assert report["iteration"] == at + 1 and report["autocast"] == "bfloat16"
    else:
        runner, record = run(config, tmp_path, hook=FiniteLossHook())
        steps = {int(state["step"]) for state in runner.optim_wrapper.optimizer.state.values()}
        assert len(record.losses) == COUNT and 0 < max(steps) < COUNT
        assert "bad_steps" not in runner.message_hub.runtime_info


@pytest.mark.parametrize("settings", [dict(max_loss=0), dict(max_loss=NAN), dict(skip_bad_steps=-1)])
def test_settings_that_make_no_sense_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match=re.escape(next(iter(settings)))):
        FiniteLossHook(**settings)


def test_an_optimizer_that_steps_by_itself_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepSpeed's: there is nothing to stand before, and the log says that losses are not looked at."""
    runner, _ = run(config_of(CLASSIFIER), tmp_path, stop_after=1)
    runner.optim_wrapper = DeepSpeedOptimWrapper(runner.optim_wrapper.optimizer)
    said: list[str] = []
    monkeypatch.setattr(runner.logger, "warning", said.append)
    hook = FiniteLossHook()
    hook.before_train(runner)
    hook.before_train_iter(runner, 0, {"inputs": torch.ones(1)})
    assert said == ["DeepSpeedOptimWrapper steps by itself, so nothing is done about losses that are not finite"]
    PreemptionHook().after_train_iter(runner, 0)  # any iteration may be the last
