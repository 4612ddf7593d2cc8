"""Tables and figure of how far up variants train, for the claim ``stability``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...report import markdown_table
from ...statistics import mean, paired_difference


class Case(NamedTuple):
    """What is trained with several seeds.

    Attributes:
        depth: Blocks of the third stage.
        variant: A name of ``stability.VARIANTS``.
        rate: Learning rate.
    """

    depth: int
    variant: str
    rate: float


# For each seed: "loss", None if it was not finite; "diverged"; and "curves", what was logged, by name.
Outcomes = Mapping[Case, Sequence[Mapping[str, Any]]]

COLOURS = {
    "pre-norm, dot product": "tab:red",
    "pre-norm, cosine": "tab:orange",
    "post-norm, dot product": "tab:purple",
    "post-norm, cosine": "tab:blue",
    "post-norm, cosine, gains from 1": "tab:cyan",
}
EFFECTS = {  # name: pairs of variants, the second of which is subtracted from the first
    "post-norm less pre-norm": (
        ("post-norm, dot product", "pre-norm, dot product"),
        ("post-norm, cosine", "pre-norm, cosine"),
    ),
    "cosine less dot product": (
        ("pre-norm, cosine", "pre-norm, dot product"),
        ("post-norm, cosine", "post-norm, dot product"),
    ),
    "gains from 0 less gains from 1": (("post-norm, cosine", "post-norm, cosine, gains from 1"),),
}
SEEN = {  # name of a curve: head of its column
    "grad_norm": "gradient norm",
    "entropy_stage0": "entropy, stage 1",
    "entropy_stage1": "stage 2",
    "entropy_stage2": "stage 3",
    "largest_logit": "largest logit",
    "gain": "mean gain",
}


def tables(outcomes: Outcomes, guess: float, margin: float) -> list[str]:
    """Returns the tables, each below a few words.

    Args:
        outcomes: What was found.
        guess: The loss of a constant guess.
        margin: By which that of a training that did not diverge is lower.
    """
    parts = []
    rates = [f"{rate:g}" for rate in rates_of(outcomes)]
    for depth in depths_of(outcomes):
        parts += [
            f"## Loss after training, {depth} blocks in the third stage\n\n"
            f"Mean of the last 20 iterations. A constant guess has {guess:.3f}. In brackets: how many seeds diverged, "
            f"which means that\ntheir loss is not lower than that by {margin:g}, or not finite.\n",
            markdown_table(("learning rate", *rates, "diverges at"), list(loss_rows(outcomes, depth))),
            "What makes the difference, seed by seed, and in brackets that difference in standard errors:\n",
            markdown_table(("loss", *rates), list(effect_rows(outcomes, depth))),
        ]
    rate = shown_rate(outcomes)
    parts += [
        f"## At the learning rate {rate:g}\n\nThe last that was logged. Entropies are means over blocks, heads and "
        "queries, in nats. Logits are without position bias.\n",
        markdown_table(("blocks", "variant", *SEEN.values()), list(seen_rows(outcomes, rate))),
    ]
    return parts


def depths_of(outcomes: Outcomes) -> list[int]:
    """All depths, in the order of the study."""
    return list(dict.fromkeys(case.depth for case in outcomes))


def rates_of(outcomes: Outcomes) -> list[float]:
    """All learning rates, ascending."""
    return sorted({case.rate for case in outcomes})


def variants_of(outcomes: Outcomes, depth: int) -> list[str]:
    """The variants of a depth."""
    return list(dict.fromkeys(case.variant for case in outcomes if case.depth == depth))


def shown_rate(outcomes: Outcomes) -> float:
    """The learning rate in the middle, whose curves are shown."""
    rates = rates_of(outcomes)
    return rates[len(rates) // 2]


def loss_rows(outcomes: Outcomes, depth: int) -> Iterator[list[str]]:
    """Rows of losses by learning rate, and the rate from which a variant diverges."""
    for variant in variants_of(outcomes, depth):
        of_rates = [outcomes[Case(depth, variant, rate)] for rate in rates_of(outcomes)]
        yield [variant, *map(loss_cell, of_rates), diverges_at(outcomes, depth, variant)]


def loss_cell(of_seeds: Sequence[Mapping[str, Any]]) -> str:
    """The mean loss, where all are finite, and how many seeds diverged, where some did."""
    losses = [one["loss"] for one in of_seeds]
    diverged = sum(one["diverged"] for one in of_seeds)
    text = "not finite" if None in losses else mean(losses).text()
    return f"{text} ({diverged})" if diverged else text


def diverges_at(outcomes: Outcomes, depth: int, variant: str) -> str:
    """The lowest learning rate at which more than half of the seeds diverge."""
    for rate in rates_of(outcomes):
        of_seeds = outcomes[Case(depth, variant, rate)]
        if 2 * sum(one["diverged"] for one in of_seeds) > len(of_seeds):
            return f"{rate:g}"
    return "none of them"


def effect_rows(outcomes: Outcomes, depth: int) -> Iterator[list[str]]:
    """Rows of the differences that each of the two changes makes, averaged over both states of the other."""
    variants = variants_of(outcomes, depth)
    for name, pairs in EFFECTS.items():
        if all(variant in variants for pair in pairs for variant in pair):
            yield [name, *(effect_cell(outcomes, depth, rate, pairs) for rate in rates_of(outcomes))]


def effect_cell(outcomes: Outcomes, depth: int, rate: float, pairs: Sequence[tuple[str, str]]) -> str:
    """A difference of losses with its standard error, where all losses are finite."""
    means = []
    for variants in zip(*pairs, strict=True):  # those to subtract from, and those to subtract
        losses = [[one["loss"] for one in outcomes[Case(depth, variant, rate)]] for variant in variants]
        if any(None in of_seeds for of_seeds in losses):
            return "not finite"
        means.append([sum(of_seed) / len(of_seed) for of_seed in zip(*losses, strict=True)])
    difference = paired_difference(*means)
    return f"{difference.text()} ({difference.errors_from_zero:.1f})"


def seen_rows(outcomes: Outcomes, rate: float) -> Iterator[list[str]]:
    """Rows of what was last seen of gradients, attention and gains."""
    for case, of_seeds in outcomes.items():
        if case.rate == rate:
            yield [str(case.depth), case.variant, *(last_cell(of_seeds, name) for name in SEEN)]


def last_cell(of_seeds: Sequence[Mapping[str, Any]], name: str) -> str:
    """The mean of the last values of a curve, where all trainings came as far as to log one."""
    curves = [one["curves"][name] for one in of_seeds]
    return mean([curve[-1] for curve in curves]).text(2) if all(curves) else "none"


def draw(outcomes: Outcomes, guess: float) -> Figure:
    """Draws the loss over the learning rate and, at the middle rate, curves over the iterations; a row for a depth."""
    depths, rate = depths_of(outcomes), shown_rate(outcomes)
    panels = {"entropy_stage2": "entropy, third stage", "largest_logit": "largest logit", "grad_norm": "gradient norm"}
    figure = Figure(figsize=(17, 4 * len(depths) + 0.9), layout="constrained")
    for depth, (first, *others) in zip(
        depths, figure.subplots(len(depths), 1 + len(panels), squeeze=False), strict=True
    ):
        draw_losses(first, outcomes, depth, guess)
        for axes, (name, label) in zip(others, panels.items(), strict=True):
            draw_curves(axes, outcomes, depth, rate, name)
            axes.set(title=f"learning rate {rate:g}", xlabel="iteration", ylabel=label)
            if not name.startswith("entropy"):
                axes.set_yscale("log")
    handles, labels = first.get_legend_handles_labels()  # the greatest depth has all variants
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def draw_losses(axes: Axes, outcomes: Outcomes, depth: int, guess: float) -> None:
    """Draws the mean loss of each variant over the learning rate; a loss that is not finite ends a line."""
    for variant in variants_of(outcomes, depth):
        finite = {}
        for rate in rates_of(outcomes):
            losses = [one["loss"] for one in outcomes[Case(depth, variant, rate)]]
            if None in losses:
                break
            finite[rate] = mean(losses)
        errors = [one.error for one in finite.values()]
        means = [one.mean for one in finite.values()]
        axes.errorbar([*finite], means, errors, marker="o", capsize=3, color=COLOURS[variant], label=variant)
    axes.axhline(guess, color="0.5", linestyle=":", label="constant guess")
    axes.set(xscale="log", title=f"{depth} blocks in the third stage", xlabel="learning rate", ylabel="loss at the end")


def draw_curves(axes: Axes, outcomes: Outcomes, depth: int, rate: float, name: str) -> None:
    """Draws a curve of each seed, seeds of a variant in its colour."""
    for variant in variants_of(outcomes, depth):
        for one in outcomes[Case(depth, variant, rate)]:
            axes.plot(one["curves"]["iter"], one["curves"][name], color=COLOURS[variant], alpha=0.7)
