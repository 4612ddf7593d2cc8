"""Tables and figure of the study of labels."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...report import markdown_table
from ...statistics import mean, paired_difference
from .trials import MASKS, Setting

Scores = Mapping[tuple[str, str, int], Sequence[float]]  # one a seed, by task, start and percent of the labels
Rates = Mapping[tuple[str, str], Mapping[float, float]]  # scores by learning rate, by task and start
STARTS = ("scratch", "SimMIM")
COLUMNS = 3  # of panels


class Curve(NamedTuple):
    """Losses of a SimMIM.

    Attributes:
        held_out: (iteration, loss on held-out images), over training.
        seen: Loss at the end, on the smallest part of the images, which all have been trained on.
    """

    held_out: Sequence[tuple[int, float]]
    seen: float


Losses = Mapping[tuple[int, int], Curve]  # by percent of the images and width
Trials = Mapping[Setting, Sequence[float]]  # losses on held-out images, with squares of each of MASKS


def tables(scores: Scores, rates: Rates, losses: Losses, trials: Trials) -> list[str]:
    """Returns the tables of what has been measured so far."""
    later = [*([loss_table(losses)] if losses else []), *([trial_table(trials)] if trials else [])]
    return [score_table(scores), rate_table(rates), *later]


def score_table(scores: Scores) -> str:
    """A row for each task and share of the labels: both starts, and the gain seed by seed."""
    rows = []
    for task in dict.fromkeys(task for task, _, _ in scores):
        for percent in percents_of(scores, task):
            scratch, simmim = (scores[task, start, percent] for start in STARTS)
            gain = paired_difference(simmim, scratch)
            texts = [mean(scratch).text(), mean(simmim).text(), gain.text(), f"{gain.errors_from_zero:+.1f}"]
            rows.append([task, str(percent), *texts])
    return markdown_table(("task", "labels, %", "from scratch", "from SimMIM", "gain", "in standard errors"), rows)


def percents_of(scores: Scores, task: str) -> list[int]:
    """Returns the shares of the labels with which a task was learnt, ascending."""
    return sorted({percent for name, _, percent in scores if name == task})


def rate_table(rates: Rates) -> str:
    """A row for each task and start: the scores by which its learning rate was chosen."""
    rows = [
        (task, start, ", ".join(f"{rate:g}: {score:.3f}" for rate, score in scores.items()))
        for (task, start), scores in rates.items()
    ]
    return markdown_table(("task", "start", "score on training images left out, by learning rate"), rows)


def loss_table(losses: Losses) -> str:
    """A row for each SimMIM of nuclei: its lowest loss on held-out images, its last, and that on images it has seen."""
    rows = []
    for (percent, width), curve in losses.items():
        iteration, lowest = min(curve.held_out, key=lambda point: point[1])
        last, loss = curve.held_out[-1]
        ends = f"{loss:.4f} ({last})", f"{curve.seen:.4f}", f"{loss - curve.seen:+.4f}"
        rows.append((str(percent), str(width), f"{lowest:.4f} ({iteration})", *ends))
    seen = f"on the {min(percent for percent, _ in losses)} % that all have seen"
    head = ("images, %", "width", "lowest held-out loss (iteration)", "last", seen, "held-out less seen")
    return markdown_table(head, rows)


def trial_table(trials: Trials) -> str:
    """A row for each SimMIM that was tried: its losses on held-out images, by the size of the squares in the test."""
    rows = []
    for setting, losses in trials.items():
        texts = [f"{loss:.4f}" for loss in (*losses, sum(losses) / len(losses))]
        rows.append((setting.simmim, f"{setting.rate:g}", f"{setting.mask} px", str(setting.iterations), *texts))
    tested = (*(f"held-out loss at {mask} px" for mask in MASKS), "mean")
    return markdown_table(("SimMIM", "learning rate", "squares", "iterations", *tested), rows)


def draw(scores: Scores, losses: Losses) -> Figure:
    """A panel for each task, score over labels, and one of the losses over training."""
    tasks = list(dict.fromkeys(task for task, _, _ in scores))
    rows = math.ceil((len(tasks) + bool(losses)) / COLUMNS)
    figure = Figure(figsize=(4.6 * COLUMNS, 3.8 * rows), layout="constrained")
    panels = [*figure.subplots(rows, COLUMNS, squeeze=False).flat]
    for axis, task in zip(panels, tasks, strict=False):
        draw_scores(axis, scores, task)
    if losses:
        draw_losses(panels[len(tasks)], losses)
    for axis in panels[len(tasks) + bool(losses) :]:
        axis.remove()
    return figure


def draw_scores(axis: Axes, scores: Scores, task: str) -> None:
    """Both starts, with their standard errors."""
    percents = percents_of(scores, task)
    for start in STARTS:
        means = [mean(scores[task, start, percent]) for percent in percents]
        errors = [one.error for one in means]
        axis.errorbar(percents, [one.mean for one in means], errors, marker="o", capsize=3, label=f"from {start}")
    axis.set(title=task, xlabel="labels, %", ylabel="score", xscale="log")
    axis.set_xticks(percents, [str(percent) for percent in percents], minor=False)
    axis.minorticks_off()
    axis.legend()


def draw_losses(axis: Axes, losses: Losses) -> None:
    """A colour for each percent of the images, a style for each width."""
    percents, widths = (list(dict.fromkeys(key[index] for key in losses)) for index in (0, 1))
    for (percent, width), curve in losses.items():
        axis.plot(
            *zip(*curve.held_out, strict=True),
            color=f"C{percents.index(percent)}",
            linestyle=("-", "--", ":")[widths.index(width)],
            label=f"{percent} % of the images, width {width}",
        )
    axis.set(title="SimMIM of nuclei", xlabel="iteration", ylabel="loss on held-out images")
    axis.legend(fontsize=7)
