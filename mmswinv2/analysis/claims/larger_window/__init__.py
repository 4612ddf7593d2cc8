"""Claim: weights trained at one window serve at larger ones and on larger images (the paper's section 3.3).

The demo's Mask R-CNN and UPerNet learn nuclei at window 8. They are tested at windows of 8, 12, 16 and 24, on images of
the demo's size and 1.5 times as large. Only ``model.backbone.window_size`` and the scale of the pipeline change, as a
user would change them. Then each is trained on for 200 iterations at its window and size, all but window 12, and tested
again. Those at window 8 and the demo's size too: what they gain is due to the iterations, and not to a window. As they
were trained they are also tested without position bias: what they lose tells whether they have one to transfer.

Training crops have 192 px in Mask R-CNN and 128 px in UPerNet, so the maps of the last stage have 12 x 12 and 8 x 8
tokens. Larger windows are cut to them. Whole images have larger maps, and there the window is what it says.

Seconds are medians over images, of preprocessing, backbone, heads and postprocessing at a batch of one. All settings
take turns at each image, so that what else the machine does meets them alike.

With 3 seeds it takes about 2.5 hours of one CPU core.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from statistics import median
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner, load_checkpoint

from ...changed_bias import tested_with, without_bias
from ...report import write_report
from ...study import NO_VALIDATION, ROOT, Measurement, Options, Trained, Training, tested
from ...study_cli import Choices
from .report import Found, bias_table, draw, table


class Setting(NamedTuple):
    """A window in tokens, and the size of the images beside that of the demo."""

    window: int
    scale: float


@dataclass(frozen=True)
class Model:
    """A model of nuclei.

    Attributes:
        name: Of the model, with its score.
        slug: For names of folders.
        config: Its config below ``configs/``.
        tuned_config: That of the training at another setting.
        metric: Key of its score in what a test reports.
        unit: What the score is divided by, so that 1 is perfect.
        train_side, test_side: Images' larger side in pixels, in training before it is varied at random.
        train_pipelines: Keys of the pipelines of its training.
        cost: Of a training of 200 iterations, beside others of the study.
    """

    name: str
    slug: str
    config: str
    tuned_config: str
    metric: str
    unit: float
    train_side: int
    test_side: int
    train_pipelines: tuple[str, ...]
    cost: float

    def options(self, setting: Setting) -> Options:
        """Returns what a user changes for a setting."""
        keys = {key: self.train_side for key in self.train_pipelines}
        keys["test_dataloader.dataset.pipeline.1.scale"] = self.test_side
        scales = {key: round(side * setting.scale) for key, side in keys.items()}
        return (
            ("model.backbone.window_size", setting.window),
            *((key, (side, side)) for key, side in scales.items()),
        )


DETECTOR = Model(
    name="Mask R-CNN, box AP50",
    slug="mask-rcnn",
    config="demo/mask-rcnn_swinv2_nuclei.py",
    tuned_config="analysis/larger-window_mask-rcnn.py",
    metric="coco/bbox_mAP_50",
    unit=1.0,
    train_side=384,
    test_side=448,
    train_pipelines=("train_dataloader.dataset.dataset.pipeline.2.scale",),
    cost=200.0,
)
SEGMENTOR = Model(
    name="UPerNet, mIoU",
    slug="upernet",
    config="demo/upernet_swinv2_nuclei.py",
    tuned_config="analysis/larger-window_upernet.py",
    metric="mIoU",
    unit=100.0,
    train_side=384,
    test_side=384,
    train_pipelines=(
        "train_dataloader.dataset.datasets.0.pipeline.2.scale",
        "train_dataloader.dataset.datasets.1.dataset.pipeline.2.scale",
    ),
    cost=150.0,
)
MODELS_OF_NUCLEI = (DETECTOR, SEGMENTOR)


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        models: The models.
        settings: The windows and sizes; differences are to the first.
        tuned: Those of them at which models are trained on.
        images: On how many images seconds are measured.
        training: Settings of all trainings besides their own.
        test: The same of all tests.
    """

    models: tuple[Model, ...]
    settings: tuple[Setting, ...]
    tuned: tuple[Setting, ...]
    images: int
    training: Options = (NO_VALIDATION,)  # the study tests
    test: Options = ()


SCALES = (1.0, 1.5)
FULL = Plan(
    MODELS_OF_NUCLEI,
    settings=tuple(Setting(window, scale) for scale, window in product(SCALES, (8, 12, 16, 24))),
    tuned=tuple(Setting(window, scale) for scale, window in product(SCALES, (8, 16, 24))),
    images=20,
)
QUICK = Plan(
    MODELS_OF_NUCLEI[1:],
    settings=(Setting(8, 1.0), Setting(12, 1.5)),
    tuned=(Setting(8, 1.0), Setting(12, 1.5)),
    images=2,
    training=(
        NO_VALIDATION,
        ("train_cfg.max_iters", 2),
        ("param_scheduler.0.end", 1),
        ("param_scheduler.1.begin", 1),
        ("param_scheduler.1.end", 2),
    ),
    test=(("test_dataloader.dataset.indices", 2),),
)


def run(choices: Choices) -> None:
    """Does the study and writes its table and figure."""
    plan = QUICK if choices.quick else FULL
    study = choices.study()
    values = study.run(list(measurements(plan, choices.seeds)))
    found = {model.name: found_of(model, plan, choices.seeds, values) for model in plan.models}
    write_report(study.work_dir, [table(found), bias_table(found)], draw(found))


def measurements(plan: Plan, seeds: Iterable[int]) -> Iterator[Measurement]:
    """Yields all measurements: seed by seed, and of each the tests of what is as it was trained first."""
    for seed, model in product(seeds, plan.models):
        common = (("randomness.seed", seed), *plan.training)
        base = Training(f"{model.slug}_seed{seed}", model.config, common, cost=3 * model.cost)
        tests = {setting: tested((*model.options(setting), *plan.test)) for setting in plan.settings}
        for setting, test in tests.items():
            yield Measurement(measured(model, setting, "as trained", seed), base, test, cost=60)
        first = plan.settings[0]
        bare = tested_with(without_bias, (*model.options(first), *plan.test))
        yield Measurement(measured(model, first, "without bias", seed), base, bare, cost=60)
        if seed == 0:
            yield Measurement(f"{model.name}, seconds an image", base, seconds_an_image(model, plan), cost=200)
        for setting in plan.tuned:
            name = f"{model.slug}_window{setting.window}_x{setting.scale:g}_seed{seed}"
            options = (*common, *model.options(setting))
            tuned = Training(name, model.tuned_config, options, start=base, cost=model.cost)
            yield Measurement(measured(model, setting, "trained on", seed), tuned, tests[setting], cost=60)


def measured(model: Model, setting: Setting, what: str, seed: int) -> str:
    """Returns the name of a measurement."""
    return f"{model.name}, window {setting.window}, images x {setting.scale:g}, {what}, seed {seed}"


def found_of(model: Model, plan: Plan, seeds: Iterable[int], values: Mapping[str, Any]) -> Found:
    """Returns what was found of a model."""

    def scores(settings: Iterable[Setting], what: str) -> dict[tuple[int, float], list[float]]:
        return {
            setting: [values[measured(model, setting, what, seed)][model.metric] / model.unit for seed in seeds]
            for setting in settings
        }

    seconds = zip(plan.settings, values[f"{model.name}, seconds an image"], strict=True)
    (bare,) = scores(plan.settings[:1], "without bias").values()
    return Found(scores(plan.settings, "as trained"), scores(plan.tuned, "trained on"), bare, dict(seconds))


def seconds_an_image(model: Model, plan: Plan) -> Callable[[Trained], list[float]]:
    """Returns a measurement: the seconds that an image takes at each of the settings."""

    def measure(trained: Trained) -> list[float]:
        runs = [ready_to_test(trained, (*model.options(setting), *plan.test), plan.images) for setting in plan.settings]
        seconds: list[list[float]] = [[] for _ in runs]
        for index in range(plan.images):
            for (net, batches), times in zip(runs, seconds, strict=True):
                start = time.perf_counter()
                with torch.no_grad():
                    net.test_step(batches[index])
                times.append(time.perf_counter() - start)
        return [median(times[1:]) for times in seconds]  # the first one computes the position bias

    return measure


def ready_to_test(trained: Trained, options: Options, images: int) -> tuple[BaseModel, list[Any]]:
    """Returns a trained model under other settings, and the first few batches of its test."""
    cfg = Config.fromfile(trained.config)
    cfg.merge_from_dict(dict(options))
    init_default_scope(cfg.default_scope)
    dataset = cfg.test_dataloader.dataset
    dataset.data_root = str(ROOT / dataset.data_root)  # from wherever the study is run
    net = MODELS.build(cfg.model)
    load_checkpoint(net, str(trained.checkpoint), map_location="cpu", strict=True)
    return net.eval(), list(islice(Runner.build_dataloader(cfg.test_dataloader), images))
