"""What counts as diverged, and how the tables tell it, on made-up curves; and the study itself, in its short form."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from mmswinv2.analysis.claims import stability
from mmswinv2.analysis.claims.stability import CURVES, GUESS, MARGIN, VARIANTS, cases, outcome, training
from mmswinv2.analysis.claims.stability.report import Case, Outcomes, draw, tables
from mmswinv2.analysis.study_cli import Choices

FOUR = list(VARIANTS)[:4]
PRE_DOT, PRE_COSINE, POST_DOT, POST_COSINE = FOUR


def records(*losses: float) -> list[dict[str, Any]]:
    """What a training logs every 10 iterations."""
    return [
        dict.fromkeys(CURVES, 1.0) | {"iter": 10 * index, "loss": loss, "time": 0.4}
        for index, loss in enumerate(losses, start=1)
    ]


@pytest.mark.parametrize(
    ("losses", "is_finite", "diverged"),
    [
        ((1.6, 1.4, 1.2), True, False),
        ((1.6, 9.0, 1.5), True, False),  # it came back
        ((1.6, 1.4, 1.7), True, True),
        ((1.6, 1.61, 1.6), True, True),  # it stands still, give or take
        ((1.6, 1.61, 1.58), True, False),
        ((1.6, 1.4, math.nan), True, True),
        ((1.6, 1.4), False, True),  # the last that was logged tells nothing
        ((), False, True),
    ],
)
def test_divergence(losses: tuple[float, ...], is_finite: bool, diverged: bool) -> None:
    found = outcome(records(*losses), is_finite)
    assert found["diverged"] is diverged
    assert found["loss"] is None if not is_finite else found["loss"] is losses[-1]
    assert found["curves"]["loss"] == list(losses)
    assert list(found["curves"]) == list(CURVES)


def test_a_constant_guess_of_five_classes_has_the_loss_that_is_said() -> None:
    assert pytest.approx(1.609, abs=1e-3) == GUESS


def made_up() -> Outcomes:
    """Three seeds: pre-norm and dot product diverge at 0.01, all but post-norm with cosine at 0.1."""
    ends = {
        Case(6, PRE_DOT, 0.01): (1.7, 1.5, 1.8),
        Case(6, PRE_DOT, 0.1): (None, 1.7, 1.7),
        Case(6, PRE_COSINE, 0.01): (1.6, 1.4, 1.3),
        Case(6, PRE_COSINE, 0.1): (1.7, 1.7, 1.7),
        Case(6, POST_DOT, 0.01): (1.5, 1.3, 1.5),
        Case(6, POST_DOT, 0.1): (1.7, 1.7, 1.7),
        Case(6, POST_COSINE, 0.01): (1.4, 1.2, 1.2),
        Case(6, POST_COSINE, 0.1): (1.4, 1.7, 1.5),
    }
    return {
        case: [outcome(records() if loss is None else records(1.6, loss), loss is not None) for loss in losses]
        for case, losses in ends.items()
    }


def cells(table: str, name: str) -> list[str]:
    """The cells of the first row that begins with a name."""
    return next(line for line in table.splitlines() if line.startswith(f"| {name} |")).strip("| ").split(" | ")


def test_the_table_tells_losses_and_where_they_diverge() -> None:
    text = "\n".join(tables(made_up(), GUESS, MARGIN))
    assert cells(text, PRE_DOT) == [PRE_DOT, "1.667 ± 0.088 (2)", "not finite (3)", "0.01"]
    assert cells(text, PRE_COSINE) == [PRE_COSINE, "1.433 ± 0.088 (1)", "1.700 ± 0.000 (3)", "0.1"]
    assert cells(text, POST_COSINE) == [POST_COSINE, "1.267 ± 0.067", "1.533 ± 0.088 (1)", "none of them"]
    assert cells(text, f"6 | {PRE_DOT}")[2:] == ["none"] * 6  # one seed ended before anything was logged
    assert cells(text, f"6 | {POST_COSINE}")[2:] == ["1.00 ± 0.00"] * 6


def test_effects_are_paired_by_seed_and_averaged_over_the_other_change() -> None:
    """Post-norm less pre-norm by hand: -(0.2 + 0.2) / 2, -(0.2 + 0.2) / 2 and -(0.3 + 0.1) / 2, so without spread."""
    text = "\n".join(tables(made_up(), GUESS, MARGIN))
    _, at_001, at_01 = cells(text, "post-norm less pre-norm")
    difference, errors = at_001.split(" ± ")
    assert float(difference) == pytest.approx(-0.2)
    assert errors.startswith("0.000")
    assert at_01 == "not finite"
    # -(0.1 + 0.1) / 2, -(0.1 + 0.1) / 2 and -(0.5 + 0.3) / 2: mean -0.2, error 0.1, so 2 errors
    assert cells(text, "cosine less dot product")[1] == "-0.200 ± 0.100 (-2.0)"
    assert "gains from 0" not in text


def test_a_line_of_the_figure_ends_where_losses_are_not_finite() -> None:
    figure = draw(made_up(), GUESS)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    containers = {container.get_label(): container.lines[0] for container in figure.axes[0].containers}
    assert list(containers[PRE_DOT].get_xdata()) == [0.01]
    assert list(containers[POST_COSINE].get_xdata()) == [0.01, 0.1]
    assert list(lines["constant guess"].get_ydata()) == [GUESS, GUESS]


def test_each_case_and_seed_has_a_training_of_its_own() -> None:
    """Four variants at both depths, the fifth at the greater one; each training says what its variant is."""
    planned = cases(quick=False)
    assert len(planned) == (4 + 5) * len(stability.RATES)
    trainings = [training(case, seed, quick=False) for case in planned for seed in (0, 1)]
    assert len({one.name for one in trainings}) == len({one.options for one in trainings}) == 2 * len(planned)
    assert all(one.may_diverge for one in trainings)


@pytest.mark.full
def test_the_short_form_trains_all_variants_and_leaves_everything(tmp_path: Path) -> None:
    stability.run(Choices(quick=True, seeds=range(2), work_dir=tmp_path))
    results = json.loads((tmp_path / "results.json").read_text())["measurements"]
    assert len(results) == 2 * len(VARIANTS)
    for entry in results.values():
        assert entry["value"]["curves"]["iter"] == [5, 10]
        assert all(len(curve) == 2 for curve in entry["value"]["curves"].values())
    text = (tmp_path / "table.md").read_text()
    assert all(cells(text, variant) for variant in VARIANTS)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
