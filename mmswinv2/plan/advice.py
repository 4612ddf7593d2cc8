"""What to change where a training does not fit."""

from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

from mmengine.config import Config

from ..layers.windows import Pair
from .measure import training_of
from .precision import Precision
from .rest import RestStep
from .strategies import STRATEGIES, Training, plan


class Advice(NamedTuple):
    """A change, and the bytes that a GPU then holds."""

    change: str
    total: float


def alternatives(training: Training, recomputing: Training | None, batch: int, gpus: int) -> Iterator[Advice]:
    """Yields what may be changed, the smaller changes first.

    Args:
        training: What was planned.
        recomputing: The same with all blocks recomputed; None: they are.
        batch: Images on a GPU.
        gpus: Number of GPUs.
    """
    forms = {"": training}
    if recomputing is not None:
        forms["model.backbone.with_cp=True"] = recomputing
    if batch > 1:
        forms |= {
            _and(change, f"--batch {batch // 2}"): with_share(form, batch // 2 / batch)
            for change, form in forms.items()
        }
    for change, form in forms.items():
        for strategy in STRATEGIES if gpus > 1 else ("ddp",):
            yield Advice(f"{strategy}{f' with {change}' if change else ''}", plan(form, strategy, gpus).total)


def _and(change: str, other: str) -> str:
    return f"{change} and {other}" if change else other


def with_share(training: Training, share: float) -> Training:
    """The training with this share of its images; copies of parameters stay."""
    moments = [at._replace(activations=round(at.activations * share)) for at in training.moments]
    return training._replace(moments=moments)


def recomputing(cfg: Config, batch: int, size: Pair, precision: Precision, rest: RestStep) -> Training | None:
    """The training of a config with ``with_cp`` for all blocks; None where it has that already."""
    if cfg.model.backbone.get("with_cp") is True:
        return None
    changed = deepcopy(cfg)
    changed.model.backbone.with_cp = True
    return training_of(changed, batch, size, precision, rest)
