"""The tables and the figure of the study."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ....layers.compared_biases import POSITION_BIASES
from ...report import markdown_table
from ...statistics import Mean, mean, paired_difference
from .plan import KEPT_TABLE, NO_BIAS, WINDOW, Plan, key
from .tasks import TASKS

TITLES = {"log_cpb": "log-CPB", "linear_cpb": "linear CPB", "table": "table", KEPT_TABLE: "table, not resized"}


def scores(plan: Plan, values: Mapping[str, Any], task: str, bias: str, *at: Any, **tuned: bool) -> list[float]:
    """The metric of a task for every seed; see :func:`key`."""
    return [values[key(task, bias, seed, *at, **tuned)][TASKS[task].metric] for seed in plan.seeds]


def tables(plan: Plan, values: Mapping[str, Any]) -> Iterator[str]:
    """Yields the report, for each task: scores, differences from log-CPB in standard errors, other windows, no bias."""
    factors = plan.factors
    columns: list[tuple[str, Any, bool]] = [(f"x{factor:g}", factor, False) for factor in factors]
    columns += [(f"x{factor:g}, tuned", factor, True) for factor in factors[1:]]
    others = [(f"window {window}", window, False) for window in plan.other_windows]
    yield (
        f"Window and image are enlarged together from window {WINDOW}, without training and after a short fine-tuning; "
        f"or the window alone. Mean and standard error over {len(plan.seeds)} seeds. Differences are paired by seed, "
        "above 0 where log-CPB is better, with their number of standard errors in brackets. A table that is not "
        "resized is the same one, with the bias of its edge for all offsets beyond it.\n"
    )
    for task in plan.tasks:
        yield f"### {TASKS[task].title}\n"
        yield score_table(plan, values, task, columns)
        yield "The window alone, on the same pixels:\n"
        yield score_table(plan, values, task, others)
        yield "The same images and windows as in training, with every position bias set to the same value:\n"
        yield markdown_table(["", "x1", "x1, without bias", "lost"], list(losses(plan, values, task)))


def score_table(plan: Plan, values: Mapping[str, Any], task: str, columns: Sequence[tuple[str, Any, bool]]) -> str:
    """Returns a table of scores; a column is its title, the factor or window, and whether it is after fine-tuning."""
    return markdown_table(["", *(title for title, *_ in columns)], list(rows(plan, values, task, columns)))


def rows(
    plan: Plan, values: Mapping[str, Any], task: str, columns: Sequence[tuple[str, Any, bool]]
) -> Iterator[list[str]]:
    """Yields the rows of a table: each bias, then log-CPB less each of the others. What is not measured is empty."""
    sign, digits = TASKS[task].sign, TASKS[task].digits
    places = [(place, tuned) for _, place, tuned in columns]

    def at(bias: str, place: Any, tuned: bool) -> list[float]:
        return scores(plan, values, task, bias, place, tuned=tuned)

    def difference(bias: str, place: Any, tuned: bool) -> str:
        return in_errors(paired_difference(at("log_cpb", place, tuned), at(bias, place, tuned)), sign, digits)

    for bias, title in TITLES.items():
        yield [title, *(mean(at(bias, *one)).text(digits) if measured(bias, one[1]) else "" for one in places)]
    for bias in list(TITLES)[1:]:
        texts = (difference(bias, *one) if measured(bias, one[1]) else "" for one in places)
        yield [f"log-CPB against {TITLES[bias]}", *texts]


def losses(plan: Plan, values: Mapping[str, Any], task: str) -> Iterator[list[str]]:
    """Yields the rows of a table: each bias, and what its model loses without it."""
    sign, digits = TASKS[task].sign, TASKS[task].digits
    for bias in POSITION_BIASES:
        whole, bare = (scores(plan, values, task, bias, place) for place in (plan.factors[0], NO_BIAS))
        lost = in_errors(paired_difference(whole, bare), sign, digits)
        yield [TITLES[bias], mean(whole).text(digits), mean(bare).text(digits), lost]


def measured(bias: str, tuned: bool) -> bool:
    """Whether the study has it: fine-tuning is of resized tables alone."""
    return not (tuned and bias == KEPT_TABLE)


def in_errors(difference: Mean, sign: int, digits: int) -> str:
    """Returns a difference, and how many standard errors it is."""
    rounded = round(sign * difference.mean, digits), round(sign * difference.errors_from_zero, 1)
    value, errors = (number + 0.0 for number in rounded)  # which makes 0 of -0
    return f"{value:+.{digits}f} ({errors:+.1f})"


def figure(plan: Plan, values: Mapping[str, Any]) -> Figure:
    """Draws the scores over the factor, a panel for each task, and the biases themselves beyond the trained window."""
    tasks = plan.tasks
    drawn = Figure(figsize=(4 * max(len(tasks), 3), 8), layout="constrained")
    upper, lower = drawn.subfigures(2, 1, squeeze=False)[:, 0]
    for axes, task in zip(upper.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        draw_scores(axes, plan, values, task)
    upper.suptitle(f"Trained at window {WINDOW}; window and image enlarged together. Dashed: after fine-tuning")
    stages = len(values[f"curves log_cpb {plan.seeds[0]}"])
    for stage, axes in enumerate(lower.subplots(1, stages, squeeze=False)[0]):
        draw_curves(axes, plan, values, stage)
    lower.suptitle("Position bias along a row of tokens, beyond the grey range of its training (SimMIM)")
    return drawn


def draw_scores(axes: Axes, plan: Plan, values: Mapping[str, Any], task: str) -> None:
    """Draws the metric of a task over the factor, with standard errors."""
    factors = plan.factors
    for index, bias in enumerate(TITLES):
        for tuned, style in ((False, "-o"), (True, "--s")):
            if not measured(bias, tuned):
                continue
            places = factors[1:] if tuned else factors
            means = [mean(scores(plan, values, task, bias, factor, tuned=tuned)) for factor in places]
            label = None if tuned else TITLES[bias]
            heights, errors = [one.mean for one in means], [one.error for one in means]
            axes.errorbar(places, heights, errors, fmt=style, color=f"C{index}", label=label, capsize=2, markersize=4)
    axes.set(title=TASKS[task].title, xlabel="factor", xticks=factors)
    axes.title.set_fontsize(9)
    axes.legend(fontsize=8)


def draw_curves(axes: Axes, plan: Plan, values: Mapping[str, Any], stage: int) -> None:
    """Draws the bias of a stage over dx, a line for each seed."""
    axes.axvspan(0, WINDOW - 1, color="0.9")
    for index, bias in enumerate(POSITION_BIASES):
        for seed in plan.seeds:
            line = values[f"curves {bias} {seed}"][stage]
            label = TITLES[bias] if seed == plan.seeds[0] else None
            axes.plot(range(len(line)), line, color=f"C{index}", alpha=0.7, label=label)
    axes.set(title=f"stage {stage}, first block, mean over heads", xlabel="dx in tokens", ylabel="bias less that at 0")
    axes.legend(fontsize=8)
