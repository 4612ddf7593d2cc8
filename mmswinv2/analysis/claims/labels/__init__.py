"""Claim: SimMIM saves labels. Fine-tuning from its weights beside training from scratch, with 5 to 100 % of the labels.

Flowers (top-1), facades (mIoU of UPerNet) and nuclei (box AP50 of Mask R-CNN, mIoU of UPerNet) are learnt by small
SwinV2s. From either start it takes as many iterations, on the same labels: those of a smaller share are among those of
a larger one. Nuclei start from a SimMIM of nuclei alone, the others from one of all images. No validation image is
among these. A linear probe of the flowers trains the last layer alone.

The learning rate is chosen for each task and start with the 10 % of the first seed, by the score on the other training
images. Where the best is the lowest or highest of those tried, one beyond it is tried as well, up to three times. Other
settings are the same for both starts, apart from the gains' rate. There is one SimMIM of each kind: what the spread
over seeds tells is due to subsets and fine-tuning.

Beside it the warning of the official model zoo in small: how the loss on held-out images develops with 10, 20 and
100 % of the images, at two widths. Where it rises, or leaves the loss on images of the training behind, the model has
begun to learn these by heart. And what the learning rate, the mask size and the length of the tasks' SimMIMs do to
that loss.

The order is: 10 % of the labels in all tasks, the losses, the other shares. After each the report is written.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from ...report import write_report
from ...study import Measurement, Options, Study, Trained, Training, tested, validated
from ...study_cli import Choices
from ...subsets import subset
from .losses import measured_losses
from .report import STARTS, Curve, Losses, Rates, Scores, Trials, draw, tables
from .tasks import FACADES, FLOWERS, NUCLEI_BOXES, NUCLEI_MAPS, PROBE, Task
from .trials import MASKS, RATES, simmim_trials

FIRST = 10  # percent of the labels: the share that comes first, and for which learning rates are chosen
# The gains have grown in the pretraining: ten times the learning rate, as for those that start at zero, would undo it.
# The keys are of the blocks' norms alone: the configs exempt those of the backbone's outputs, ``backbone.norm0`` to 2.
FROM_SIMMIM = tuple((f"optim_wrapper.paramwise_cfg.custom_keys.{norm}.lr_mult", 1) for norm in ("norm1", "norm2"))
EXTENSIONS = 3  # rates that may be tried beyond those of the task


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        tasks: The tasks.
        shares: Percent of the labels besides the first.
        percents, widths: Those of the loss curves.
        simmim_rates, masks: Learning rates and mask sizes with which SimMIMs are tried.
        pretraining: Settings of the SimMIMs from which the tasks start, besides their own.
        training: The same of all trainings.
        test: The same of all tests.
    """

    tasks: tuple[Task, ...]
    shares: tuple[int, ...]
    percents: tuple[int, ...]
    widths: tuple[int, ...]
    simmim_rates: tuple[float, ...] = ()
    masks: tuple[int, ...] = ()
    pretraining: Options = ()
    training: Options = ()
    test: Options = ()


FULL = Plan(
    (NUCLEI_BOXES, NUCLEI_MAPS, FLOWERS, FACADES, PROBE),
    shares=(5, 25, 50, 100),
    percents=(10, 20, 100),
    widths=(32, 64),
    simmim_rates=RATES,
    masks=MASKS,
)
QUICK = Plan(
    (replace(FLOWERS, rates=FLOWERS.rates[:2]), replace(NUCLEI_BOXES, rates=NUCLEI_BOXES.rates[:1])),
    shares=(),
    percents=(10,),
    widths=(64,),
    simmim_rates=(1.5e-3,),
    masks=(16,),
    training=(
        ("train_cfg.max_iters", 2),
        ("train_cfg.val_interval", 1),
        ("param_scheduler.0.end", 1),
        ("param_scheduler.1.begin", 1),
        ("param_scheduler.1.end", 2),
        ("val_dataloader.dataset.indices", 4),
    ),
    test=(("test_dataloader.dataset.indices", 4),),
)


def run(choices: Choices) -> None:
    """Does the study part by part, and writes the report after each."""
    plan = QUICK if choices.quick else FULL
    study = choices.study()

    def report(scores: Scores, losses: Losses, tried: Trials) -> None:
        write_report(study.work_dir, tables(scores, rates, losses, tried), draw(scores, losses))

    rates = try_rates(study, plan, choices.seeds[0])
    best = best_rates(rates)
    scores = score(study, plan, choices.seeds, best, (FIRST,))
    report(scores, {}, {})
    losses = follow_losses(study, plan)
    tried = try_simmims(study, plan)
    report(scores, losses, tried)
    report({**scores, **score(study, plan, choices.seeds, best, plan.shares)}, losses, tried)


def try_rates(study: Study, plan: Plan, seed: int) -> Rates:
    """Returns the score of each learning rate on training images outside the first share, rates ascending."""
    to_try = {(task, start): list(task.rates) for task, start in product(plan.tasks, STARTS)}
    rates: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for _ in range(1 + EXTENSIONS):
        trials = {
            (task, start, rate): trial(study, plan, task, start, seed, rate)
            for (task, start), some in to_try.items()
            for rate in some
        }
        values = study.run(list(trials.values()))
        for (task, start, rate), one in trials.items():
            rates[task.name, start][rate] = values[one.name]
        to_try = {(task, start): beyond(rates[task.name, start]) for task, start in to_try}
    return {key: dict(sorted(tried.items())) for key, tried in rates.items()}


def trial(study: Study, plan: Plan, task: Task, start: str, seed: int, rate: float) -> Measurement:
    """Returns the measurement of a learning rate, on the training images that the first share leaves out."""
    order = task.order(seed)
    images = order[len(subset(order, FIRST)) :]
    options = (*task.test_on(study.work_dir / "lists" / f"{task.slug}_left-out", images), *plan.test)
    training = fine_tuning(study, plan, task, start, FIRST, seed, rate)
    return Measurement(f"{task.name}, {start}, learning rate {rate:g}", training, test_score(task, options), cost=80)


def beyond(tried: Mapping[float, float]) -> list[float]:
    """Returns the next rate beyond the lowest or the highest, where that has a better score than its neighbour."""
    rates = sorted(tried)
    if len(rates) < 2:
        return []
    lowest, second, before_last, highest = rates[0], rates[1], rates[-2], rates[-1]
    best = max(tried.values())
    if tried[lowest] == best > tried[second]:
        return [lowest * lowest / second]
    if tried[highest] == best > tried[before_last]:
        return [highest * highest / before_last]
    return []


def best_rates(rates: Rates) -> dict[tuple[str, str], float]:
    """Returns the learning rate with the highest score, by name of the task and start."""
    return {key: max(tried, key=tried.__getitem__) for key, tried in rates.items()}


def score(
    study: Study, plan: Plan, seeds: Sequence[int], rates: Mapping[tuple[str, str], float], shares: Sequence[int]
) -> Scores:
    """Returns the scores on validation images, one a seed, by task, start and share.

    Args:
        study: Runs the trainings.
        plan: What is done.
        seeds: The seeds.
        rates: The learning rate by name of the task and start.
        shares: Percent of the labels.
    """
    cells = defaultdict(list)
    for percent, seed, task, start in product(shares, seeds, plan.tasks, STARTS):
        training = fine_tuning(study, plan, task, start, percent, seed, rates[task.name, start])
        name = f"{task.name}, {start}, {percent} % of the labels, seed {seed}"
        cells[task.name, start, percent].append(Measurement(name, training, validation_score(task), cost=0.1))
    values = study.run([one for measurements in cells.values() for one in measurements])
    return {cell: [values[one.name] for one in measurements] for cell, measurements in cells.items()}


def follow_losses(study: Study, plan: Plan) -> Losses:
    """Returns SimMIM's losses, by percent of the images and width."""
    measured = dict(measured_losses(study.work_dir / "lists", plan.percents, plan.widths, plan.training))
    values = study.run([one for losses in measured.values() for one in losses])
    return {key: Curve(values[one.held_out.name], values[one.seen.name]) for key, one in measured.items()}


def try_simmims(study: Study, plan: Plan) -> Trials:
    """Returns the losses of the tasks' SimMIMs with other settings, and with their own."""
    files = study.work_dir / "lists"
    simmims = dict.fromkeys(task.pretraining for task in plan.tasks)
    measured = {
        setting: measurement
        for simmim in simmims
        for setting, measurement in simmim_trials(simmim, files, plan.simmim_rates, plan.masks, plan.training)
    }
    values = study.run(list(measured.values()))
    return {setting: values[one.name] for setting, one in measured.items()}


def fine_tuning(study: Study, plan: Plan, task: Task, start: str, percent: int, seed: int, rate: float) -> Training:
    """Returns the training of a task on part of the labels, whose files it writes."""
    files = study.work_dir / "lists"
    images = subset(task.order(seed), percent)
    options = (
        *task.train_on(files / f"{task.slug}_{percent}_seed{seed}", images),
        ("optim_wrapper.optimizer.lr", rate),
        ("randomness.seed", seed),
        *(FROM_SIMMIM if start == "SimMIM" else ()),
        *plan.training,
    )
    pretraining = pretraining_of(task, plan, files) if start == "SimMIM" else None
    name = f"{task.slug}_{start.lower()}_{percent}_seed{seed}_lr{rate:g}"
    return Training(name, task.config, options, backbone_start=pretraining, cost=task.cost)


def pretraining_of(task: Task, plan: Plan, files: Path) -> Training:
    """Returns the SimMIM that a task starts from."""
    return task.pretraining.training(files, (*plan.pretraining, *plan.training))


def test_score(task: Task, options: Options) -> Callable[[Trained], float]:
    """Returns a measurement: the score of a test with these settings, in [0, 1]."""
    test = tested(options)
    return lambda trained: test(trained)[task.metric] / task.unit


def validation_score(task: Task) -> Callable[[Trained], float]:
    """Returns a measurement: the score of the validation with which the training ended, in [0, 1]."""
    return lambda trained: validated(trained)[-1][task.metric] / task.unit
