"""The trainings and measurements of the study."""

import copy
from collections.abc import Iterator, Sequence

from mmengine.config import Config

from ....layers.compared_biases import POSITION_BIASES
from ...changed_bias import kept_tables, tested_with, without_bias
from ...study import CONFIGS, NO_VALIDATION, Measurement, Options, Training, tested
from ...study_cli import Choices
from .curves import curves
from .tasks import TASKS

WINDOW = 8  # of all trainings
FACTORS = (1.0, 1.5, 2.0, 2.5, 3.0)  # of window and image
OTHER_WINDOWS: tuple[int | tuple[int, int], ...] = (4, 6, 12, 16, (8, 16), (16, 8))
KEPT_TABLE = "kept_table"  # in names of measurements: the model with a table, tested without resizing that
NO_BIAS = "without bias"  # in names of measurements: at factor 1
TUNED = 50  # iterations of fine-tuning
TEST_SECONDS, TUNING_SECONDS = 10, 25  # roughly, at factor 1, for the time that is left


class Plan:
    """All trainings and measurements of the study. A quick one has two factors, one task and a few iterations.

    Args:
        choices: The user's.

    Attributes:
        seeds: The seeds of every training.
        tasks: Keys of :data:`TASKS`.
        factors: By which window and image are enlarged; the first is 1.
        other_windows: On the same pixels.
    """

    def __init__(self, choices: Choices) -> None:
        self.quick = choices.quick
        self.seeds = choices.seeds
        self.tasks = ["simmim"] if choices.quick else list(TASKS)
        self.factors = FACTORS[:2] if choices.quick else FACTORS
        self.other_windows = OTHER_WINDOWS[-1:] if choices.quick else OTHER_WINDOWS

    def of_first_tasks(self, count: int) -> "Plan":
        """Returns the same with the first few tasks alone."""
        part = copy.copy(self)
        part.tasks = self.tasks[:count]
        return part

    def measurements(self) -> Iterator[Measurement]:
        """Yields what is measured, seed by seed: an interrupted study has whole comparisons."""
        for task in self.tasks:
            for seed in self.seeds:
                for bias in POSITION_BIASES:
                    yield from self.of_model(task, bias, seed)

    def of_model(self, task: str, bias: str, seed: int) -> Iterator[Measurement]:
        """Yields what is measured of one model."""
        trained = self.training(task, bias, seed)
        for factor in self.factors:
            name, cost = key(task, bias, seed, factor), TEST_SECONDS * factor**2
            yield Measurement(name, trained, tested((*self.enlarged(task, factor), *self.shorter)), cost)
        for window in self.other_windows:
            options = (("model.backbone.window_size", windows(window, TASKS[task].maps)), *self.shorter)
            yield Measurement(key(task, bias, seed, window), trained, tested(options), TEST_SECONDS)
        bare = tested_with(without_bias, self.shorter)
        yield Measurement(key(task, bias, seed, NO_BIAS), trained, bare, TEST_SECONDS)
        for factor in self.factors[1:]:
            options = (*self.enlarged(task, factor), *self.tuning(task, factor), *self.shorter)
            cost = TUNING_SECONDS * factor**2
            yield Measurement(key(task, bias, seed, factor, tuned=True), trained, tested(options, tune=True), cost)
        if bias == "table":
            yield from self.of_kept_table(task, seed, trained)
        if task == "simmim":
            yield Measurement(f"curves {bias} {seed}", trained, curves, 1)

    def of_kept_table(self, task: str, seed: int, trained: Training) -> Iterator[Measurement]:
        """Yields the tests of a model whose table is not resized."""
        for factor in self.factors:
            side = round(WINDOW * factor)
            test = tested_with(kept_tables((side, side)), (*self.enlarged(task, factor), *self.shorter))
            yield Measurement(key(task, KEPT_TABLE, seed, factor), trained, test, TEST_SECONDS * factor**2)
        for window in self.other_windows:
            options = (("model.backbone.window_size", window), *self.shorter)
            test = tested_with(kept_tables(window if isinstance(window, tuple) else (window, window)), options)
            yield Measurement(key(task, KEPT_TABLE, seed, window), trained, test, TEST_SECONDS)

    def training(self, task: str, bias: str, seed: int) -> Training:
        """The training at window 8."""
        options: Options = (("randomness.seed", seed), ("model.backbone.position_bias", bias))
        if self.quick:
            options += (*schedule(4), ("train_dataloader.batch_size", 4))
        return Training(f"{task}_{bias}_{seed}", TASKS[task].config, options + self.shorter, cost=TASKS[task].seconds)

    def tuning(self, task: str, factor: float) -> Options:
        """Settings of the fine-tuning at a larger size: a quarter of the batch, a tenth of the learning rate."""
        cfg = Config.fromfile(CONFIGS / TASKS[task].config)
        return (
            *TASKS[task].tuned(factor),
            *schedule(2 if self.quick else TUNED),
            ("train_dataloader.batch_size", 2 if self.quick else cfg.train_dataloader.batch_size // 4),
            ("optim_wrapper.optimizer.lr", cfg.optim_wrapper.optimizer.lr / 10),
            ("default_hooks.checkpoint", None),
        )

    def enlarged(self, task: str, factor: float) -> Options:
        """Settings of a test at a window and size that are larger by a factor."""
        return (("model.backbone.window_size", round(WINDOW * factor)), *TASKS[task].resized(factor))

    @property
    def shorter(self) -> Options:
        """Settings of a quick study's data."""
        loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
        return tuple((f"{loader}.dataset.indices", 16) for loader in loaders) if self.quick else ()


def windows(window: int | tuple[int, int], maps: Sequence[int] | None) -> object:
    """Returns a window for each stage, no larger than its map, as V1 builds a model for one size of images.

    Else V1's table of the last stage would be resized to a window that its map has no room for. To log-CPB and linear
    CPB it makes no difference.

    Args:
        window: In tokens.
        maps: Sides of the stages' maps; None: images have several sizes, and all stages have the same window.
    """
    if maps is None:
        return window
    h, w = window if isinstance(window, tuple) else (window, window)
    return [(min(h, side), min(w, side)) for side in maps]


def schedule(iterations: int) -> Options:
    """Settings of a run of another length: warm-up over a tenth, then a cosine, and no validation."""
    warmup = -(-iterations // 10)
    return (
        NO_VALIDATION,
        ("train_cfg.max_iters", iterations),
        ("param_scheduler.0.end", warmup),
        ("param_scheduler.1.begin", warmup),
        ("param_scheduler.1.end", iterations),
    )


def key(task: str, bias: str, seed: int, at: float | int | tuple[int, int] | str, tuned: bool = False) -> str:
    """Name of a measurement; ``at`` is a factor (a float), a window on the same pixels, or :data:`NO_BIAS`."""
    where = at if isinstance(at, str) else f"x{at}" if isinstance(at, float) else f"window {at}"
    return f"{task} {bias} {seed} {where}{' tuned' if tuned else ''}"
