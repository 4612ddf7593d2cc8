"""Table and figure of the study of larger windows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from ...report import markdown_table
from ...statistics import mean, paired_difference

Cell = tuple[int, float]  # window in tokens, images' size beside that of the demo


class Found(NamedTuple):
    """What was found of a model.

    Attributes:
        as_trained: Scores of the seeds at each window and size, with the weights of window 8.
        trained_on: The same after more iterations there, of some of them.
        without_bias: Scores at the first window and size without position bias.
        seconds: Seconds an image at test.
    """

    as_trained: Mapping[Cell, Sequence[float]]
    trained_on: Mapping[Cell, Sequence[float]]
    without_bias: Sequence[float]
    seconds: Mapping[Cell, float]


def table(models: Mapping[str, Found]) -> str:
    """A row for each model, size and window. Differences are to the first of the model's rows, seed by seed."""
    rows = []
    for name, found in models.items():
        base = next(iter(found.as_trained))
        for cell in found.as_trained:
            window, scale = cell
            texts = [name, f"{scale:g}", str(window)]
            for scores in (found.as_trained, found.trained_on):
                if cell not in scores:
                    texts += ["", ""]
                    continue
                texts.append(mean(scores[cell]).text())
                gain = paired_difference(scores[cell], scores[base])
                texts.append("" if cell == base else f"{gain.text()} ({gain.errors_from_zero:+.1f})")
            ratio = found.seconds[cell] / found.seconds[base]
            rows.append([*texts, f"{found.seconds[cell]:.2f} ({ratio:.2f})"])
    head = ("model", "images", "window", "as trained", "less the first", "trained on", "less the first", "s an image")
    note = (
        "Less the first row of the model, in brackets in standard errors; seconds in brackets beside the first row's."
    )
    return f"{markdown_table(head, rows)}\n{note}\n"


def bias_table(models: Mapping[str, Found]) -> str:
    """A row for each model: what it loses, as it was trained, when no offset is preferred to another."""
    rows = []
    for name, found in models.items():
        whole = next(iter(found.as_trained.values()))
        lost = paired_difference(whole, found.without_bias)
        texts = (mean(whole).text(), mean(found.without_bias).text(), f"{lost.text()} ({lost.errors_from_zero:+.1f})")
        rows.append([name, *texts])
    return markdown_table(("model", "as trained", "without position bias", "lost"), rows)


def draw(models: Mapping[str, Found]) -> Figure:
    """Scores and seconds an image over the window, a column for each model, a colour for each size."""
    figure = Figure(figsize=(5.5 * len(models), 7.5), layout="constrained")
    axes = figure.subplots(2, len(models), squeeze=False, sharex=True)
    for (scores_axis, seconds_axis), (name, found) in zip(axes.T, models.items(), strict=True):
        for colour, scale in zip(
            ("tab:blue", "tab:orange"), dict.fromkeys(scale for _, scale in found.seconds), strict=False
        ):
            windows = [window for window, other in found.seconds if other == scale]
            for what, scores, style in (
                ("as trained", found.as_trained, "--"),
                ("trained on", found.trained_on, "-"),
            ):
                there = [window for window in windows if (window, scale) in scores]
                means = [mean(scores[window, scale]) for window in there]
                scores_axis.errorbar(
                    there,
                    [one.mean for one in means],
                    [one.error for one in means],
                    color=colour,
                    linestyle=style,
                    marker="o",
                    capsize=3,
                    label=f"images x {scale:g}, {what}",
                )
            seconds = [found.seconds[window, scale] for window in windows]
            seconds_axis.plot(windows, seconds, color=colour, marker="o", label=f"images x {scale:g}")
        scores_axis.set(title=name, ylabel="score")
        seconds_axis.set(xlabel="window in tokens, trained with 8", ylabel="seconds an image", ylim=(0, None))
        scores_axis.legend(fontsize=8)
        seconds_axis.legend(fontsize=8)
    return figure
