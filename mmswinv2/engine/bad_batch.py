"""The end of a run at a bad batch: what is kept, and what the user is told."""

import json
import os
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.runner import Runner
from torch import Tensor, nn

from ..errors import DataError, TrainingError, name_some
from ..models.backbone import unwrapped
from .batch_file import to_plain
from .examine import Examination, LayerOutput, bad_gradients, bad_parameters, examine
from .random_state import random_state, set_random_state


class Moment(NamedTuple):
    """What an iteration began with.

    Attributes:
        iteration: Its number from 0.
        batch: What the data loader gave.
        random_state: Of all generators.
        buffers: Of the model, by name.
    """

    iteration: int
    batch: Any
    random_state: dict[str, Any]
    buffers: dict[str, Tensor]

    @classmethod
    def now(cls, iteration: int, batch: Any, model: nn.Module) -> "Moment":
        """The moment at hand."""
        return cls(iteration, batch, random_state(), {name: buffer.clone() for name, buffer in model.named_buffers()})

    def restore_buffers(self, model: nn.Module) -> None:
        """Gives a model its running statistics and the like back."""
        for name, buffer in model.named_buffers():
            if name in self.buffers:
                buffer.copy_(self.buffers[name])


class Fault(NamedTuple):
    """What is wrong with a step, as all processes of the run know it.

    Attributes:
        rank: The first process at fault.
        bad_loss: Whether its loss is bad; else the gradients alone.
        images: Names of the images of all processes at fault.
    """

    rank: int
    bad_loss: bool
    images: list[str]


@dataclass
class Report:
    """What the report holds besides the examination. Its paths are relative to its own folder.

    Attributes:
        iteration: As the log counts, from 1.
        epoch: As the log counts, from 1.
        seed: The run's.
        process: The rank of the process that had the batch.
        what: ``loss`` or ``gradients``.
        images: Of the batch.
        autocast: The number type of mixed precision; None: there is none.
        config: The config as the run dumped it.
        checkpoint: Weights and optimizer before the step; None: they are not finite themselves.
        batch: The batch and the state of the random number generators; None: it could not be written.
        bad_parameters: Names of parameters that are not finite.
        bad_gradients: The same for gradients, where the loss is good.
    """

    iteration: int
    epoch: int
    seed: int
    process: int
    what: str
    images: list[str]
    autocast: str | None
    config: str
    checkpoint: str | None
    batch: str | None
    bad_parameters: list[str]
    bad_gradients: list[str]


def stop(runner: Runner, fault: Fault, moment: Moment, context: AbstractContextManager) -> NoReturn:
    """Keeps the last good weights, writes the report, and ends the run. All processes call it together.

    Args:
        runner: The run.
        fault: What is wrong.
        moment: What the iteration at fault began with, in this process.
        context: The one in which the model runs, of mixed precision.

    Raises:
        TrainingError: Says what is wrong, and what was kept.
    """
    model = unwrapped(runner.model)
    gradients = [] if fault.bad_loss else bad_gradients(model)
    model.zero_grad(set_to_none=True)
    moment.restore_buffers(model)
    parameters = bad_parameters(model)
    set_random_state(moment.random_state)
    with context:
        autocast = _autocast_type(next(model.parameters()).device.type)
        examination = _examined(runner, model, moment.batch)
    moment.restore_buffers(model)
    checkpoint = None if parameters else keep_last_good(runner)
    message = None
    if get_rank() == fault.rank:
        report = Report(
            iteration=moment.iteration + 1,
            epoch=runner.epoch + 1,
            seed=runner.seed,
            process=fault.rank,
            what="loss" if fault.bad_loss else "gradients",
            images=fault.images,
            autocast=autocast,
            config=Path(runner.cfg.filename or f"{runner.timestamp}.py").name,  # where Runner.dump_config puts it
            checkpoint=checkpoint,
            batch=_write_batch(runner, moment),
            bad_parameters=parameters,
            bad_gradients=gradients,
        )
        message = _describe(report, examination, _write_report(runner, report, examination))
    raise TrainingError(all_gather_object(message)[fault.rank])


def keep_last_good(runner: Runner) -> str:
    """Saves weights, optimizer and schedule as they were before the iteration at hand, and returns the file's name."""
    name = f"iter_{runner.iter}.pth"
    meta = dict(epoch=runner.epoch, iter=runner.iter)
    runner.save_checkpoint(runner.work_dir, name, meta=meta, by_epoch=False)
    if get_rank() == 0:
        Path(runner.work_dir, "last_checkpoint").write_text(os.path.join(runner.work_dir, name))
    return name


def bad_layer(gradients: list[str], examination: Examination) -> LayerOutput | None:
    """Returns the layer at which it begins: the first with a bad output, or going backwards with a bad gradient.

    Args:
        gradients: Names of the parameters whose gradients are bad.
        examination: Of the forward pass.
    """
    if examination.culprit is not None:
        return examination.culprit
    owners = {name.rpartition(".")[0] for name in gradients}
    return next((layer for layer in reversed(examination.layers) if layer.name in owners), None)


def describe_layer(layer: LayerOutput) -> str:
    """Names a layer and its class; the model itself has no name."""
    return (
        f"{layer.name} ({layer.type})"
        if layer.name
        else f"the model's own computation, after all layers ({layer.type})"
    )


def _examined(runner: Runner, model: nn.Module, batch: Any) -> Examination:
    """What the layers make of a batch; nothing if they fail, because the rest of the report matters more."""
    try:
        return examine(model, batch)[0]
    except Exception as error:  # of any layer, such as one without memory for another forward pass
        runner.logger.warning(f"The layers could not be looked at: {type(error).__name__}: {error}")
        return Examination({}, [])


def _autocast_type(device: str) -> str | None:
    on = torch.is_autocast_enabled(device)
    return str(torch.get_autocast_dtype(device)).removeprefix("torch.") if on else None


def _write_batch(runner: Runner, moment: Moment) -> str | None:
    """Writes the batch, and returns the file's name; None if it holds what cannot be written."""
    name = f"bad_batch_iter_{moment.iteration + 1}.pth"
    try:
        plain = to_plain(moment.batch)
    except DataError as error:
        runner.logger.warning(f"The batch is not kept: {error}")
        return None
    torch.save({"batch": plain, "random_state": moment.random_state}, os.path.join(runner.work_dir, name))
    return name


def _write_report(runner: Runner, report: Report, examination: Examination) -> str:
    """Writes the report, and returns its path."""
    path = Path(runner.work_dir, f"bad_batch_iter_{report.iteration}.json")
    path.write_text(json.dumps({**asdict(report), **examination.as_plain()}, indent=1))
    return str(path)


def _describe(report: Report, examination: Examination, path: str) -> str:
    """What the user reads."""
    losses = ", ".join(f"{name} {value:.4g}" for name, value in examination.losses.items())
    what = (
        "the loss is not finite, or above max_loss of FiniteLossHook"
        if report.what == "loss"
        else "the loss is finite, its gradients are not"
    )
    lines = [
        f"Iteration {report.iteration}: {what}, so the optimizer has not taken the step ({losses})",
        f"images: {name_some(report.images) or 'the batch does not name them'}",
        _where(report, examination),
        f"last good weights and optimizer: {Path(path).parent / report.checkpoint}, from which --resume goes on"
        if report.checkpoint
        else f"the weights themselves are not finite, and are not saved: {name_some(report.bad_parameters, 3)}",
        f"report: {path}",
        f"to run the batch again: mmswinv2 replay {path}",
        "Mend a broken image. Else a lower learning rate, a longer warm-up or clip_grad in optim_wrapper may help. "
        "To leave single bad steps out: custom_hooks=[dict(type='mmswinv2.FiniteLossHook', skip_bad_steps=N)]",
    ]
    return "\n  ".join(lines)


def _where(report: Report, examination: Examination) -> str:
    """The line that names the layer."""
    layer, largest = bad_layer(report.bad_gradients, examination), examination.largest
    if examination.culprit is not None and layer is not None:
        given = "" if layer.input_finite else ", and its input is not finite either"
        return f"first layer whose output is not finite: {describe_layer(layer)}{given}"
    if layer is not None:
        return f"layer at which the gradients begin to be bad: {describe_layer(layer)}"
    if largest is None:
        return "no layer has an output of numbers"
    return f"all outputs are finite; the largest, {largest.largest:.3g}, is of {describe_layer(largest)}"
