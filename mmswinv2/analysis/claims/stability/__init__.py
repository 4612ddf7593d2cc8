"""Post-norm and cosine attention let a model train at learning rates at which pre-norm and dot products fail.

It is what the paper claims for large models (section 3.2), here for small ones: higher learning rates take the part of
size. Norm order and attention of Swin V1 and Swin V2, two by two, train as classifiers of five kinds of flowers. All
have log-CPB, the same learning rate for all parameters and, with the same seed, the same images and the same linear
layers at the start. See ``configs/analysis/norm-and-attention_flowers.py``.

A training counts as diverged if its loss or gradients are not finite, or if the mean loss of its last 20 iterations is
not lower by 0.02 than that of a constant guess, log 5 = 1.609. So one that stands still counts too: such losses scatter
by 0.01 to 0.02. A variant diverges at the lowest learning rate at which more than half of its seeds do.

The gains of post-norms begin at 0 and those of pre-norms at 1. So post-norm has a second advantage beside its place:
its blocks come in slowly. A fifth variant tells the two apart: post-norm and cosine attention with gains that begin
at 1.

Every 10 iterations :class:`~mmswinv2.analysis.attention_hook.AttentionHook` looks at the attention. Images have 64 px,
so the third stage has one window of 16 tokens, and its entropy is at most log 16 = 2.77.

It takes 2.5 hours on one slow core with 3 seeds: 60 trainings of 50 s at depth 6 and 75 of 75 s at depth 18.
``--quick`` takes 10 trainings of 10 iterations, at depth 2 and one learning rate: 3 minutes.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...report import write_report
from ...study import Measurement, Options, Trained, Training, logged
from ...study_cli import Choices
from .report import Case, draw, tables

CONFIG = "analysis/norm-and-attention_flowers.py"
VARIANTS: dict[str, Options] = {
    "pre-norm, dot product": (("model.backbone.norm", "pre"), ("model.backbone.attention", "dot")),
    "pre-norm, cosine": (("model.backbone.norm", "pre"), ("model.backbone.attention", "cosine")),
    "post-norm, dot product": (("model.backbone.norm", "post"), ("model.backbone.attention", "dot")),
    "post-norm, cosine": (("model.backbone.norm", "post"), ("model.backbone.attention", "cosine")),
    "post-norm, cosine, gains from 1": (
        *(("model.backbone.norm", "post"), ("model.backbone.attention", "cosine")),
        ("model.backbone.first_gain", 1.0),
    ),
}
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
DEPTHS = (6, 18)  # blocks of the third stage
COSTS = {2: 15.0, 6: 50.0, 18: 75.0}  # seconds
GUESS = math.log(5)  # the loss of a constant guess, five classes being equally frequent
MARGIN = 0.02  # by which a loss is lower at least
QUICK_DEPTH, QUICK_RATE = 2, 1e-2
QUICK: Options = (
    ("train_cfg.max_iters", 10),
    ("train_dataloader.batch_size", 4),
    ("default_hooks.logger.interval", 5),
    ("custom_hooks.0.interval", 5),
)
CURVES = ("iter", "loss", "grad_norm", "entropy_stage0", "entropy_stage1", "entropy_stage2", "largest_logit", "gain")


def run(choices: Choices) -> None:
    """Trains, and writes table and figure."""
    study = choices.study()
    plan = {case: [training(case, seed, choices.quick) for seed in choices.seeds] for case in cases(choices.quick)}
    by_seed = [one for trainings in zip(*plan.values(), strict=True) for one in trainings]
    found = study.run([Measurement(one.name, one, measure) for one in by_seed])
    outcomes = {case: [found[one.name] for one in trainings] for case, trainings in plan.items()}
    write_report(choices.work_dir, tables(outcomes, GUESS, MARGIN), draw(outcomes, GUESS))


def cases(quick: bool) -> list[Case]:
    """Returns all that is trained with several seeds; the fifth variant at the greatest depth alone."""
    depths, rates = ((QUICK_DEPTH,), (QUICK_RATE,)) if quick else (DEPTHS, RATES)
    return [
        Case(depth, variant, rate)
        for depth in depths
        for variant in VARIANTS
        for rate in rates
        if depth == max(depths) or "gains" not in variant
    ]


def training(case: Case, seed: int, quick: bool) -> Training:
    """Returns the training of a case and a seed."""
    options: Options = (
        *(QUICK if quick else ()),
        *VARIANTS[case.variant],
        ("model.backbone.arch.depths", (2, 2, case.depth)),
        ("optim_wrapper.optimizer.lr", case.rate),
        ("randomness.seed", seed),
    )
    words = case.variant.replace(", ", "_").replace(" ", "-")
    name = f"depth{case.depth}_{words}_lr{case.rate:g}_seed{seed}"
    return Training(name, CONFIG, options, cost=COSTS[case.depth], may_diverge=True)


def measure(trained: Trained) -> dict[str, Any]:
    """Tells how a training ended, and what it logged on the way."""
    return outcome(logged(trained), is_finite=trained.checkpoint is not None)


def outcome(records: Sequence[Mapping[str, Any]], is_finite: bool) -> dict[str, Any]:
    """Returns the mean loss of the last 20 iterations, whether the training diverged, and its curves.

    Args:
        records: What was logged; a logged loss is the mean of 20 iterations.
        is_finite: Whether loss and gradients stayed finite to the end.
    """
    loss = records[-1]["loss"] if is_finite else None
    diverged = loss is None or not loss < GUESS - MARGIN
    curves = {name: [record[name] for record in records] for name in CURVES}
    return {"loss": loss, "diverged": diverged, "curves": curves}
