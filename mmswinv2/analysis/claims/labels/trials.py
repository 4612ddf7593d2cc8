"""What SimMIM's learning rate, mask size and length do to its loss on held-out images.

Rates are compared by the loss with the squares of the training. Sizes cannot be: small squares are filled more easily,
because what they hide is close to what is seen. So each SimMIM is tested with squares of every size, and the mean over
these compares the sizes. The configs have the rate and the size that were best.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from ...study import CONFIGS, Measurement, Options, Trained, Training, tested
from .losses import METRIC
from .tasks import Pretraining

RATES = (3.75e-4, 7.5e-4, 1.5e-3, 3e-3)
MASKS = (8, 16, 32)  # px, sides of the squares that a mask consists of; images have 64 px and 96 px
SHORT = 4000  # iterations of a trial
SQUARES = "dataset.pipeline.2.mask_patch_size"  # of a data loader


class Setting(NamedTuple):
    """Of a SimMIM.

    Attributes:
        simmim: Its name.
        iterations: Length of its training.
        rate: Its learning rate.
        mask: Side of the squares of its masks, in pixels.
    """

    simmim: str
    iterations: int
    rate: float
    mask: int


def simmim_trials(
    simmim: Pretraining, files: Path, rates: Sequence[float], masks: Sequence[int], options: Options
) -> Iterator[tuple[Setting, Measurement]]:
    """Yields what is measured of a SimMIM with other rates and masks in short trainings, and of itself.

    Args:
        simmim: The SimMIM.
        files: Folder for the lists of its images.
        rates: Learning rates, with masks as its config has them.
        masks: Mask sizes, with the learning rate of its config.
        options: Settings of all trainings besides their own.
    """
    config = Config.fromfile(CONFIGS / simmim.config)
    squares = config.train_dataloader.dataset.pipeline[2].mask_patch_size
    own = Setting(simmim.name, config.train_cfg.max_iters, config.optim_wrapper.optimizer.lr, squares)
    shorter = (("train_cfg.max_iters", SHORT), ("param_scheduler.1.end", SHORT))
    for rate, mask in dict.fromkeys([*((rate, own.mask) for rate in rates), *((own.rate, mask) for mask in masks)]):
        changed = (
            ("optim_wrapper.optimizer.lr", rate),
            *((f"{loader}_dataloader.{SQUARES}", mask) for loader in ("train", "val")),
        )
        name = f"{simmim.name}_lr{rate:g}_mask{mask}"
        training = simmim.training(files, (*shorter, *changed, *options), name)
        yield Setting(simmim.name, SHORT, rate, mask), measured(training)
    yield own, measured(simmim.training(files, options))


def measured(training: Training) -> Measurement:
    """Returns the measurement of a SimMIM."""
    return Measurement(f"held-out losses by mask, {training.name}", training, losses_by_mask, cost=10)


def losses_by_mask(trained: Trained) -> list[float]:
    """Returns the losses on held-out images with squares of each of ``MASKS``."""
    return [tested(((f"test_dataloader.{SQUARES}", mask),))(trained)[METRIC] for mask in MASKS]
