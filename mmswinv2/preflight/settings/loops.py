"""What belongs together in a config: loops with their data and metrics, counting in epochs with a loop of epochs."""

from collections.abc import Iterator
from inspect import getmro, isclass

from .components import Component
from .numbers import is_int, is_number

GROUPS = (
    ("train_dataloader", "train_cfg", "optim_wrapper"),
    ("val_dataloader", "val_cfg", "val_evaluator"),
    ("test_dataloader", "test_cfg", "test_evaluator"),
)


def group_faults(config: dict) -> Iterator[str]:
    """Yields a sentence for each loop of which MMEngine would miss a part.

    A config without any data is not for a run: it shows a model, or is a part of others.
    """
    if all(config.get(loader) is None for loader, *_ in GROUPS):
        return
    for group in GROUPS:
        there = [name for name in group if config.get(name) is not None]
        missing = [name for name in group if name not in there]
        if there and missing:
            yield (
                f"{' and '.join(missing)}: missing beside {' and '.join(there)}, MMEngine needs all three or none; "
                f"set {'it' if len(missing) == 1 else 'them'}, or set {' and '.join(there)} to None"
            )
    if config.get("param_scheduler") is not None and config.get("optim_wrapper") is None:
        yield "param_scheduler: there is no optim_wrapper whose learning rate it could set"


def loop_faults(config: dict, components: list[Component]) -> Iterator[str]:
    """Yields a sentence for each setting that goes wrong with the kind of the training loop."""
    loop = config.get("train_cfg")
    if not isinstance(loop, dict):
        return
    if "type" in loop and "by_epoch" in loop:
        yield "train_cfg has type and by_epoch: remove by_epoch, the type tells it"
    if "max_epochs" in loop and "max_iters" in loop:
        yield "train_cfg has max_epochs and max_iters: remove the one that the run does not count by"
    if "type" not in loop and "by_epoch" not in loop:
        yield "train_cfg has neither type nor by_epoch: write type='EpochBasedTrainLoop' or type='IterBasedTrainLoop'"
    if counts_epochs(components) is False:
        yield from _epochs_in_a_run_of_iterations(components)


def counts_epochs(components: list[Component]) -> bool | None:
    """Whether training is counted in epochs; None if its loop is not MMEngine's, or none."""
    loop = next((each for each in components if each.key == "train_cfg"), None)
    kinds = bases(loop.target) if loop else ()
    return {"EpochBasedTrainLoop": True, "IterBasedTrainLoop": False}.get(
        next((kind for kind in kinds if kind in ("EpochBasedTrainLoop", "IterBasedTrainLoop")), "")
    )


def bases(target: object) -> tuple[str, ...]:
    """Returns the names of a class and its parents."""
    return tuple(base.__name__ for base in getmro(target)) if isclass(target) else ()


def _epochs_in_a_run_of_iterations(components: list[Component]) -> Iterator[str]:
    """A run of iterations has one epoch, the whole run: what waits for the end of an epoch comes too late."""
    for component in components:
        key, settings, kinds = component.key, component.settings, bases(component.target)
        if not settings.get("by_epoch", True) or settings.get("convert_to_iter_based"):
            continue
        if "_ParamScheduler" in kinds:
            yield (
                f"{key} counts epochs, but train_cfg counts iterations, so it would never change anything: set "
                f"{key}.by_epoch=False, and its begin, end and milestones in iterations"
            )
        elif "CheckpointHook" in kinds and settings.get("interval", -1) != -1:
            yield (
                f"{key} counts epochs, but train_cfg counts iterations, so it would save at the end alone: set "
                f"{key}.by_epoch=False, and its interval in iterations"
            )


def schedule_faults(components: list[Component]) -> Iterator[str]:
    """Yields a sentence for each scheduler whose end does not come after its begin."""
    for component in components:
        begin, end = component.settings.get("begin", 0), component.settings.get("end")
        if "_ParamScheduler" in bases(component.target) and is_int(begin) and is_int(end) and end <= begin:
            yield f"{component.key}.end is {end}, it must be above begin, which is {begin}"


def schedule_remarks(config: dict, components: list[Component]) -> Iterator[str]:
    """Yields a sentence for each part of a schedule that the run ends before: it may be meant, as in a short trial."""
    loop, epochs = config.get("train_cfg"), counts_epochs(components)
    length = loop.get("max_epochs" if epochs else "max_iters") if isinstance(loop, dict) else None
    if epochs is None or not is_number(length):
        return
    unit = ("epoch" if epochs else "iteration") + "s" * (length != 1)
    for component in components:
        if "_ParamScheduler" not in bases(component.target) or component.settings.get("by_epoch", True) != epochs:
            continue
        begin, late = component.settings.get("begin", 0), component.settings.get("milestones")
        if is_int(begin) and begin >= length:
            yield f"{component.key} begins at {begin}, but the run ends after {length} {unit}"
        if isinstance(late, list | tuple):
            never = [step for step in late if is_number(step) and step >= length]
            if never:
                yield f"{component.key}.milestones: {never} come after the end of the run of {length} {unit}"
