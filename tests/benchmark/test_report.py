"""Ratios, tables and pictures of results."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmswinv2.benchmark.plots import draw
from mmswinv2.benchmark.report import case_table, markdown, memory_of, ratio_to_best, seconds_of
from mmswinv2.benchmark.rounds import spread


def row(contender: str, seconds: float, memory: float | None, compiled: bool = False) -> dict[str, Any]:
    return {
        "contender": contender,
        "package": contender.removesuffix("-plain"),
        "compiled": compiled,
        "failure": None,
        "first_step_seconds": 1.0,
        "seconds": spread([seconds]),
        "peak_memory_mib": memory,
        "differences": [0.0, 1e-6, 1e-6, 1e-6],
        "share_of_matrix_rate": 0.5,
        "share_of_parts": None,
    }


ROWS = [
    row("mmswinv2", 2.0, 100.0),
    row("mmswinv2-plain", 1.0, 50.0),
    row("timm", 3.0, 400.0),
    row("transformers", 4.0, 200.0),
    row("mmswinv2", 0.5, 10.0, compiled=True),
    {"contender": "mmpretrain", "package": "mmpretrain", "compiled": False, "failure": "mmpretrain is not installed"},
]


def case(size: tuple[int, int], window: int, mode: str = "inference") -> dict[str, Any]:
    return {
        "name": f"{mode} {size[0]}x{size[1]} w{window}",
        "case": {"mode": mode, "size": size, "window": window},
        "matrix_gflops_per_second": 100.0,
        "linear_gflop": 40.0,
        "attention_gflop": 2.0,
        "parts_seconds": None,
        "scale_failures": {"parts alone": "no memory"},
        "rows": ROWS,
    }


RESULTS = {
    "commands": ["mmswinv2 benchmark --out DIR"],
    "settings": {"rounds": 1, "batch": 2},
    "machine": {"cores": 2},
    "versions": {"torch": "2.13.0"},
    "cases": [case((512, 512), 8), case((800, 1344), 8), case((512, 512), 16), case((512, 512), 8, "train")],
}


@pytest.mark.parametrize(
    ("index", "seconds", "memory"),
    [
        (0, 2.0 / 3.0, 100.0 / 200.0),  # this project's plain formula is no other implementation
        (2, 3.0 / 1.0, 400.0 / 50.0),
        (4, None, None),  # nobody else is compiled
    ],
)
def test_ratios_to_the_best_of_the_same_kind(index: int, seconds: float | None, memory: float | None) -> None:
    assert ratio_to_best(ROWS[index], ROWS, seconds_of) == pytest.approx(seconds)
    assert ratio_to_best(ROWS[index], ROWS, memory_of) == pytest.approx(memory)


def test_memory_that_was_not_measured_has_no_ratio() -> None:
    rows = [row("mmswinv2", 1.0, None), row("timm", 1.0, None)]
    assert ratio_to_best(rows[0], rows, memory_of) is None


def test_table() -> None:
    table = case_table(RESULTS["cases"][0])
    assert "| mmswinv2, eager | 2.000 | 2.000 to 2.000 | 2.000, 2.000 | 1.50 | 100 | 0.50 | 1.0 | 50% |" in table
    assert "| mmswinv2, compiled | 0.500 |" in table
    assert "- mmpretrain, eager has no figures: mmpretrain is not installed" in table
    assert "- parts alone could not be measured: no memory" in table
    widths = {line.count("|") for line in table.splitlines() if line.startswith("|")}
    assert len(widths) == 1, "rows of different lengths"


def test_report_has_machine_command_and_every_case() -> None:
    report = markdown(RESULTS)
    for text in ("cores: 2", "torch: 2.13.0", "`mmswinv2 benchmark --out DIR`", "median of 1 turns"):
        assert text in report
    assert report.count("\n## ") == len(RESULTS["cases"])


def test_pictures(tmp_path: Path) -> None:
    for path in draw(RESULTS, tmp_path):
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG" and len(set(picture.convert("L").getdata())) > 10  # something is drawn


def test_pictures_where_everyone_failed(tmp_path: Path) -> None:
    draw({**RESULTS, "cases": [{**case((64, 64), 8), "rows": ROWS[-1:]}]}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"throughput.png", "memory.png"}
