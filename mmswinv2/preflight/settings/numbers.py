"""Which numbers make sense, by the class that takes them."""

import math
from collections.abc import Callable, Iterator
from inspect import getmro, isclass
from numbers import Integral, Real
from typing import Any, NamedTuple

from ...arch import is_positive_int
from .components import Component


class Rule(NamedTuple):
    """What a value must be.

    Attributes:
        words: It in words, as in "must be a positive integer".
        holds: Whether a value is so.
    """

    words: str
    holds: Callable[[Any], bool]


def is_number(value: object) -> bool:
    """Whether a value is a finite number; True and False are none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def is_int(value: object) -> bool:
    """Whether a value is an integer; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def pairs_with(holds: Callable[[Any], bool], length: int | None = None) -> Callable[[Any], bool]:
    """Returns a test for a list or tuple of items that each hold."""

    def all_hold(value: Any) -> bool:
        right_length = isinstance(value, list | tuple) and (len(value) == length if length else len(value) > 0)
        return right_length and all(map(holds, value))

    return all_hold


def or_none(rule: Rule) -> Rule:
    """Returns the rule that takes None too."""
    return Rule(rule.words, lambda value: value is None or rule.holds(value))


POSITIVE_INT = Rule("a positive integer", is_positive_int)
COUNT = Rule("an integer of at least 0", lambda value: is_int(value) and value >= 0)
WHOLE = Rule("a positive whole number", lambda value: is_number(value) and value > 0 and value == int(value))
OR_NEVER = Rule("a positive whole number, or -1 for never", lambda value: WHOLE.holds(value) or is_minus_one(value))
OR_ALL = Rule("a positive integer, or -1 for all", lambda value: is_positive_int(value) or is_minus_one(value))
POSITIVE = Rule("a number above 0", lambda value: is_number(value) and value > 0)
NOT_NEGATIVE = Rule("a number of at least 0", lambda value: is_number(value) and value >= 0)
SHARE = Rule("a number in [0, 1)", lambda value: is_number(value) and 0 <= value < 1)
BELOW_ONE = Rule("a number below 1", lambda value: is_number(value) and value < 1)  # below 0 means none
INSIDE = Rule("a number between 0 and 1", lambda value: is_number(value) and 0 < value < 1)
UP_TO_ONE = Rule("a number above 0 and at most 1", lambda value: is_number(value) and 0 < value <= 1)
FROM_ZERO_TO_ONE = Rule("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
BETAS = Rule("two numbers in [0, 1)", pairs_with(SHARE.holds, 2))
STEPS = Rule("a list of integers of at least 0", pairs_with(COUNT.holds))
INTEGER = Rule("an integer", is_int)
STRENGTHS = Rule("a number from 0 to 1, or a list of them", lambda value: _each(value, FROM_ZERO_TO_ONE.holds))
SIDES = Rule("positive", lambda value: _each(value, lambda side: side is None or (is_number(side) and side > 0)))
MEANS = Rule("a list of numbers", pairs_with(is_number))
DEVIATIONS = Rule("a list of numbers above 0", pairs_with(POSITIVE.holds))
SCALE = Rule(
    "'dynamic', a number above 0 or a dict",
    lambda value: value == "dynamic" or isinstance(value, dict) or POSITIVE.holds(value),
)


def is_minus_one(value: object) -> bool:
    """Whether a value is MMEngine's number for "never" and "all"."""
    return is_int(value) and value == -1


def _each(value: Any, holds: Callable[[Any], bool]) -> bool:
    """Whether a value holds, or all in it if it is a list."""
    return all(_each(item, holds) for item in value) if isinstance(value, list | tuple) else holds(value)


SIZED = {"scale": SIDES, "scales": SIDES, "crop_size": SIDES, "img_scale": SIDES, "size": or_none(SIDES)}
SCHEDULED = {"begin": COUNT, "end": POSITIVE_INT}
# By the name of a class, of its parents or of a function.
RULES: dict[str, dict[str, Rule]] = {
    "DataLoader": {
        "batch_size": POSITIVE_INT,
        "num_workers": COUNT,
        "prefetch_factor": or_none(POSITIVE_INT),
        "timeout": NOT_NEGATIVE,
    },
    "EpochBasedTrainLoop": {"max_epochs": WHOLE, "val_interval": WHOLE, "val_begin": COUNT},
    "IterBasedTrainLoop": {"max_iters": WHOLE, "val_interval": WHOLE, "val_begin": COUNT},
    "Optimizer": {
        "lr": POSITIVE,
        "weight_decay": NOT_NEGATIVE,
        "momentum": SHARE,
        "betas": BETAS,
        "eps": NOT_NEGATIVE,
    },
    "OptimWrapper": {"accumulative_counts": POSITIVE_INT},
    "AmpOptimWrapper": {"loss_scale": SCALE},
    "clip_grad_norm_": {"max_norm": POSITIVE},
    "clip_grad_value_": {"clip_value": POSITIVE},
    "_ParamScheduler": SCHEDULED,
    "MultiStepParamScheduler": {"milestones": STEPS, "gamma": POSITIVE},
    "StepParamScheduler": {"step_size": POSITIVE_INT, "gamma": POSITIVE},
    "ExponentialParamScheduler": {"gamma": POSITIVE},
    "LinearParamScheduler": {"start_factor": UP_TO_ONE, "end_factor": FROM_ZERO_TO_ONE},
    "ConstantParamScheduler": {"factor": FROM_ZERO_TO_ONE},
    "CosineAnnealingParamScheduler": {
        "T_max": or_none(POSITIVE_INT),
        "eta_min": or_none(NOT_NEGATIVE),
        "eta_min_ratio": or_none(NOT_NEGATIVE),
    },
    "PolyParamScheduler": {"power": POSITIVE, "eta_min": NOT_NEGATIVE},
    "CheckpointHook": {"interval": OR_NEVER, "max_keep_ckpts": OR_ALL, "save_begin": COUNT},
    "LoggerHook": {"interval": WHOLE},
    "EMAHook": {"momentum": INSIDE, "begin_iter": COUNT, "begin_epoch": COUNT},
    "EarlyStoppingHook": {"patience": POSITIVE_INT, "min_delta": NOT_NEGATIVE},
    "LogProcessor": {"window_size": POSITIVE_INT},
    "set_randomness": {"seed": or_none(COUNT)},
    "ImgDataPreprocessor": {"pad_size_divisor": POSITIVE_INT, "mean": or_none(MEANS), "std": or_none(DEVIATIONS)},
    "SegDataPreProcessor": {"mean": or_none(MEANS), "std": or_none(DEVIATIONS), "size": or_none(SIDES)},
    "Resize": SIZED,
    "RandomResize": SIZED,
    "RandomChoiceResize": SIZED,
    "RandomCrop": SIZED,
    "CenterCrop": SIZED,
    "Pad": SIZED,
    "RandomFlip": {"prob": or_none(STRENGTHS)},
    "RepeatDataset": {"times": POSITIVE_INT},
    "BaseDecodeHead": {"dropout_ratio": BELOW_ONE, "num_classes": POSITIVE_INT, "channels": POSITIVE_INT},
    "BBoxHead": {"num_classes": POSITIVE_INT},
    "FCNMaskHead": {"num_classes": POSITIVE_INT},
    "AnchorHead": {"num_classes": POSITIVE_INT},
    "AnchorFreeHead": {"num_classes": POSITIVE_INT},
    "ImageClassifier": {"num_classes": POSITIVE_INT, "label_smoothing": SHARE},
    "CrossEntropyLoss": {"loss_weight": NOT_NEGATIVE},
}
PLAIN = {"auto_scale_lr": {"base_batch_size": POSITIVE_INT}}
MULTIPLIER_ENDS = ("_mult", "decay_rate")


def number_faults(components: list[Component], config: dict) -> Iterator[str]:
    """Yields a sentence for each number that makes no sense."""
    for component in components:
        for name, rule in rules_for(component.target).items():
            yield from _fault(component.key, component.settings, name, rule)
        for check in FURTHER.get(_name(component.target), ()):
            yield from check(component.key, component.settings)
    for key, rules in PLAIN.items():
        for name, rule in rules.items():
            if isinstance(config.get(key), dict):
                yield from _fault(key, config[key], name, rule)
    wrapper = config.get("optim_wrapper")
    if isinstance(wrapper, dict):
        yield from _multiplier_faults("optim_wrapper.paramwise_cfg", wrapper.get("paramwise_cfg"))


def rules_for(target: Any) -> dict[str, Rule]:
    """Returns the rules for the settings of a class or function, those of its parents included."""
    names = [base.__name__ for base in reversed(getmro(target))] if isclass(target) else [_name(target)]
    return {name: rule for each in names for name, rule in RULES.get(each, {}).items()}


def _name(target: Any) -> str:
    return getattr(target, "__name__", "")


def _fault(key: str, settings: dict, name: str, rule: Rule) -> Iterator[str]:
    if name in settings and not rule.holds(settings[name]):
        value = settings[name]
        yield f"{key}.{name} must be {rule.words}, got {value!r}{_unquoted(value, rule)}"


def _unquoted(value: object, rule: Rule) -> str:
    """Returns advice for a number that was written as a text."""
    if not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    holds = rule.holds(int(number) if number.is_integer() else number) if math.isfinite(number) else False
    return f": write {value} without the quotes" if holds else ""


def _multiplier_faults(key: str, settings: object) -> Iterator[str]:
    if isinstance(settings, dict):
        for name, value in settings.items():
            if isinstance(value, dict):
                yield from _multiplier_faults(f"{key}.{name}", value)
            elif str(name).endswith(MULTIPLIER_ENDS):
                yield from _fault(key, settings, name, NOT_NEGATIVE)


def _workers(key: str, loader: dict) -> Iterator[str]:
    if loader.get("num_workers", 0) == 0:
        if loader.get("persistent_workers"):
            yield f"{key}.persistent_workers needs num_workers above 0: set it to False, or num_workers"
        if loader.get("prefetch_factor") is not None:
            yield f"{key}.prefetch_factor needs num_workers above 0: leave it out, or set num_workers"
    if loader.get("shuffle") and loader.get("sampler") is not None:
        yield f"{key}.shuffle does not go with a sampler: write sampler=dict(type='DefaultSampler', shuffle=True)"
    if "batch_size" not in loader and loader.get("batch_sampler") is not None:
        yield f"{key}.batch_size is missing, the batch_sampler needs it"


def _nesterov(key: str, optimizer: dict) -> Iterator[str]:
    if optimizer.get("nesterov") and not optimizer.get("momentum"):
        yield f"{key}.nesterov needs a momentum above 0"


def _channels_of_pixels(key: str, settings: dict) -> Iterator[str]:
    mean, std = settings.get("mean"), settings.get("std")
    if (mean is None) != (std is None):
        yield f"{key} has {'std' if mean is None else 'mean'} alone: set mean and std both, or neither"
    elif isinstance(mean, list | tuple) and isinstance(std, list | tuple) and len(mean) != len(std):
        yield f"{key}.mean has {len(mean)} channels, {key}.std has {len(std)}: they must have the same"


FURTHER = {
    "DataLoader": (_workers,),
    "SGD": (_nesterov,),
    **dict.fromkeys(("DetDataPreprocessor", "SegDataPreProcessor", "ImgDataPreprocessor"), (_channels_of_pixels,)),
}
