"""The results as tables in Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
HEADS = (
    "contender",
    "seconds",
    "quartiles",
    "least, most",
    "speed",
    "peak MiB",
    "memory",
    "first step, s",
    "matrix rate",
    "parts",
    "difference",
)
NOTE = """\
Seconds are those of one step, the median of {rounds} turns. Peak MiB is memory over what stood before the step. Speed
is against the fastest implementation of another package that is run in the same way, eager or compiled: 1.20 is 1.2
times as fast. Memory is against the leanest one: 0.50 is half of it. Matrix rate is the share of the machine's measured
rate of matrix products, and parts is the share of the time that the parts of the model take alone. Difference is the
largest one of each level's outputs, over the largest value, from the outputs of the first contender.
"""


def markdown(results: Mapping[str, Any]) -> str:
    """Returns the whole report."""
    settings = results["settings"]
    commands = ", ".join(f"`{command}`" for command in results["commands"])
    facts = {**results["machine"], **results["versions"], "commands": commands}
    about = [f"- {name}: {value}" for name, value in facts.items()]
    tables = [case_table(case) for case in results["cases"]]
    return "\n".join(["# Benchmark", "", *about, "", NOTE.format(rounds=settings["rounds"]), *tables])


def case_table(case: Mapping[str, Any]) -> str:
    """Returns the heading and the table of one case."""
    rows = case["rows"]
    lines = [f"## {case['name']}", "", _scale_line(case), "", _line(HEADS), _line(["---"] * len(HEADS))]
    lines += [_line(_cells(row, rows)) for row in rows if row["failure"] is None]
    failed = [f"- {title(row)} has no figures: {row['failure']}" for row in rows if row["failure"] is not None]
    failed += [f"- {name} could not be measured: {reason}" for name, reason in case["scale_failures"].items()]
    return "\n".join([*lines, *(["", *failed] if failed else []), ""])


def title(row: Row) -> str:
    """Returns the name of a contender in tables and plots."""
    return f"{row['contender']}, {'compiled' if row['compiled'] else 'eager'}"


def ratio_to_best(row: Row, rows: Sequence[Row], value: Callable[[Row], float | None]) -> float | None:
    """Returns a row's value over the least one of the other packages that run in the same way.

    None: there is no such value.
    """
    others = [
        value(other)
        for other in rows
        if other["failure"] is None and other["package"] != row["package"] and other["compiled"] == row["compiled"]
    ]
    known = [other for other in others if other is not None]
    own = value(row)
    return own / min(known) if known and own is not None and min(known) > 0 else None


def seconds_of(row: Row) -> float:
    """Returns the median seconds of a step."""
    return row["seconds"]["median"]


def memory_of(row: Row) -> float | None:
    """Returns the peak memory in MiB."""
    return row["peak_memory_mib"]


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    seconds = row["seconds"]
    slowness = ratio_to_best(row, rows, seconds_of)
    return [
        title(row),
        f"{seconds['median']:.3f}",
        " to ".join(f"{value:.3f}" for value in seconds["quartiles"]),
        f"{seconds['least']:.3f}, {seconds['most']:.3f}",
        _number(slowness and 1 / slowness, ".2f"),
        _number(memory_of(row), ".0f"),
        _number(ratio_to_best(row, rows, memory_of), ".2f"),
        _number(row["first_step_seconds"], ".1f"),
        _number(row["share_of_matrix_rate"], ".0%"),
        _number(row["share_of_parts"], ".0%"),
        " ".join(f"{value:.0e}" for value in row["differences"] or []),
    ]


def _scale_line(case: Mapping[str, Any]) -> str:
    texts = {
        "matrix_gflops_per_second": "matrix products: {:.0f} GFLOP/s",
        "linear_gflop": "linear layers: {:.1f} GFLOP",
        "attention_gflop": "products of attention: {:.1f} GFLOP",
        "parts_seconds": "parts alone: {:.3f} s",
    }
    return ", ".join(text.format(case[name]) for name, text in texts.items() if case[name] is not None)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
