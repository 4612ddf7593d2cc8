"""The results as pictures: throughput and memory over the size of the image, a panel for each mode and window."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from .contenders import CONTENDERS
from .report import Row, memory_of, seconds_of, title

MIB_PER_GIB = 1024


def draw(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes ``throughput.png`` and ``memory.png`` and returns their paths."""
    batch = results["settings"]["batch"]

    def gibibytes(row: Row) -> float | None:
        memory = memory_of(row)
        return None if memory is None else memory / MIB_PER_GIB

    pictures: dict[str, tuple[str, Callable[[Row], float | None]]] = {
        "throughput.png": ("images a second", lambda row: batch / seconds_of(row)),
        "memory.png": ("peak memory, GiB", gibibytes),
    }
    for name, (label, value) in pictures.items():
        _picture(results["cases"], label, value).savefig(folder / name, dpi=120)
    return [folder / name for name in pictures]


def _picture(cases: list[Mapping[str, Any]], label: str, value: Callable[[Row], float | None]) -> Figure:
    modes = list(dict.fromkeys(case["case"]["mode"] for case in cases))
    windows = sorted({case["case"]["window"] for case in cases})
    figure = Figure(figsize=(1.5 + 3.5 * len(windows), 1 + 3 * len(modes)), layout="constrained")
    panels = figure.subplots(len(modes), len(windows), squeeze=False, sharey="row")
    for mode, row in zip(modes, panels, strict=True):
        for window, axes in zip(windows, row, strict=True):
            chosen = [case for case in cases if (case["case"]["mode"], case["case"]["window"]) == (mode, window)]
            _panel(axes, chosen, value)
            axes.set_title(f"{mode}, window {window}", fontsize=9)
        row[0].set_ylabel(label)
    handles = {text: handle for axes in panels.flat for handle, text in zip(*axes.get_legend_handles_labels())}  # noqa: B905
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _panel(axes: Axes, cases: list[Mapping[str, Any]], value: Callable[[Row], float | None]) -> None:
    lines: dict[str, list[tuple[float, float]]] = defaultdict(list)
    styles = {}
    for case in cases:
        height, width = case["case"]["size"]
        for row in case["rows"]:
            measured = value(row) if row["failure"] is None else None
            if measured is not None and measured > 0:
                lines[title(row)].append((height * width, measured))
                styles[title(row)] = _style(row)
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), label=name, **styles[name])
    axes.set(xscale="log", yscale="log")
    sizes = {height * width: f"{height}x{width}" for height, width in (case["case"]["size"] for case in cases)}
    axes.set_xticks(list(sizes), list(sizes.values()), rotation=30, fontsize=8)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3, which="both")


def _style(row: Row) -> dict[str, Any]:
    color = f"C{list(CONTENDERS).index(row['contender'])}"
    return {"color": color, "marker": "s" if row["compiled"] else "o", "linestyle": "--" if row["compiled"] else "-"}
