"""Tables and figure of how the main branch grows, for the claim ``activations``."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...report import markdown_table
from ...statistics import mean, paired_difference

# By place, which is a size or "trained" -> by model -> for each seed a Signal as a dict; trained: with loss and gain.
Signals = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]

HEAD = ("largest variance", "largest / smallest", "the same, third stage", "largest value")
COMPARED = (("V1", "V2, gains 1"), ("V1", "V2"), ("V2", "V2, extra norms"), ("V2, gains 1", "V2, gains 1, extra norms"))
COLOURS = {
    "V1": "tab:red",
    "V2, gains 0": "tab:gray",
    "V2, gains 0, extra norms": "tab:gray",
    "V2, gains 1": "tab:blue",
    "V2": "tab:blue",
    "V2, gains 1, extra norms": "tab:green",
    "V2, extra norms": "tab:green",
}
AT_START = """
## New models

V1 is MMDetection's Swin, pre-norm. "gains 0" is a V2 as it begins a training: all gains of its post-norms are 0, so it
is the identity, and only patch mergings change its variance. "gains 1" is the same model with all gains set to 1: each
branch then adds values whose mean square is 1. The variance is that of all values of the main branch after a block.
"""
TRAINED = """
## After training

Models as deep as SwinV2-S and 32 channels wide, trained as classifiers of flowers. "gain" is the mean absolute gain of
the norms in the blocks: of V2, how much of the branches its post-norms let by. "loss" is the mean of 20 iterations.
"""
DIFFERENCES = """
## How many powers of ten the variance spans over the blocks of the third stage, the deepest

log10(largest / smallest variance) of one model less that of another, seed by seed.
"""


def span(variances: Sequence[float]) -> float:
    """The largest variance over the smallest."""
    return max(variances) / min(variances)


def third_stage(signal: Mapping[str, Any]) -> list[float]:
    """The variances after the blocks of the third stage."""
    first, second, third, *_ = signal["depths"]
    return signal["variance"][first + second : first + second + third]


def tables(signals: Signals) -> list[str]:
    """Returns the tables, each below a few words."""
    at_start = [
        [place, model, *row(of_seeds)]
        for place, models in signals.items()
        for model, of_seeds in models.items()
        if place != "trained"
    ]
    trained = [
        [model, *(mean([one[key] for one in of_seeds]).text() for key in ("loss", "gain")), *row(of_seeds)]
        for model, of_seeds in signals["trained"].items()
    ]
    return [
        AT_START,
        markdown_table(("size", "model", *HEAD), at_start),
        TRAINED,
        markdown_table(("model", "loss", "gain", *HEAD), trained),
        DIFFERENCES,
        markdown_table(("models", "compared", "difference", "in standard errors"), list(differences(signals))),
    ]


def row(of_seeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cells below :data:`HEAD`, means over seeds with their standard errors."""
    values = [
        (max(one["variance"]), span(one["variance"]), span(third_stage(one)), max(one["largest"])) for one in of_seeds
    ]
    return [mean(column).text(2) for column in zip(*values, strict=True)]


def differences(signals: Signals) -> list[list[str]]:
    """Rows of models that are compared, wherever both were measured."""
    rows = []
    for place, models in signals.items():
        for pair in COMPARED:
            if all(model in models for model in pair):
                spans = ([math.log10(span(third_stage(one))) for one in models[model]] for model in pair)
                difference = paired_difference(*spans)
                name = " less ".join(pair)
                rows.append([place, name, difference.text(), f"{difference.errors_from_zero:.1f}"])
    return rows


def draw(signals: Signals) -> Figure:
    """Draws the variance over the blocks, and below it the largest value; a column for each size."""
    figure = Figure(figsize=(3.6 * len(signals) + 1, 7.5), layout="constrained")
    axes = figure.subplots(2, len(signals), squeeze=False, sharey="row", sharex="col")
    for column, (place, models) in enumerate(signals.items()):
        axes[0, column].set_title("after training" if place == "trained" else f"{place}, new")
        for line, key in zip(axes[:, column], ("variance", "largest"), strict=True):
            for model, of_seeds in models.items():
                draw_line(line, model, [signal[key] for signal in of_seeds])
            line.set_yscale("log")
            depths = next(iter(models.values()))[0]["depths"]
            for end in itertools.accumulate(depths[:-1]):
                line.axvline(end + 0.5, color="0.7", linestyle=":", linewidth=1)  # patch merging
        axes[1, column].set_xlabel("block")
        axes[1, column].legend(fontsize=8)
    axes[0, 0].set_ylabel("variance of the main branch")
    axes[1, 0].set_ylabel("largest absolute value")
    return figure


def draw_line(axes: Axes, model: str, of_seeds: Sequence[Sequence[float]]) -> None:
    """Draws a value of each block, the mean over seeds and the range of all."""
    blocks = range(1, len(of_seeds[0]) + 1)
    of_blocks = list(zip(*of_seeds, strict=True))
    style = "--" if "gains 0" in model else "-"
    axes.plot(blocks, [sum(one) / len(one) for one in of_blocks], style, color=COLOURS[model], label=model)
    axes.fill_between(blocks, [*map(min, of_blocks)], [*map(max, of_blocks)], color=COLOURS[model], alpha=0.2)
