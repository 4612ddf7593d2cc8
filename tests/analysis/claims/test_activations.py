"""What the study of activations measures and tells, by hand; and the study itself, in its short form."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mmswinv2.analysis.claims import activations
from mmswinv2.analysis.claims.activations import DEEP, SIZES, flowers, measure_v2_at_start, measurements
from mmswinv2.analysis.claims.activations.report import draw, tables
from mmswinv2.analysis.study_cli import Choices
from mmswinv2.arch import ARCHS, Arch


def signal(*variance: float, **more: float) -> dict[str, Any]:
    return {"variance": list(variance), "largest": [2 * one for one in variance], "depths": [1, 1, 3, 1], **more}


def made_up() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Two seeds. V1 grows by 100 and 1000 within the third stage, V2 by 10."""
    return {
        "tiny": {
            "V1": [signal(1, 1, 1, 5, 100, 4), signal(1, 0.5, 0.2, 5, 200, 4)],
            "V2, gains 1": [signal(1, 1, 1, 5, 10, 40), signal(1, 1, 1, 5, 10, 20)],
        },
        "trained": {
            "V1": [signal(1, 1, 2, 3, 4, 1, loss=1.5, gain=1.0), signal(1, 1, 2, 3, 4, 1, loss=1.3, gain=1.0)],
            "V2": [signal(1, 1, 2, 2, 2, 1, loss=1.2, gain=0.1), signal(1, 1, 2, 2, 2, 1, loss=1.2, gain=0.3)],
        },
    }


def row(text: str, *start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {' | '.join(start)} |"))
    return line.strip("| ").split(" | ")[len(start) :]


def test_tables_by_hand() -> None:
    text = "\n".join(tables(made_up()))
    v1 = ["150.00 ± 50.00", "550.00 ± 450.00", "550.00 ± 450.00", "300.00 ± 100.00"]
    assert row(text, "tiny", "V1") == v1
    assert row(text, "tiny", "V2, gains 1") == [
        *("30.00 ± 10.00", "30.00 ± 10.00"),
        *("10.00 ± 0.00", "60.00 ± 20.00"),
    ]
    assert row(text, "V2")[:2] == ["1.200 ± 0.000", "0.200 ± 0.100"]
    # powers of ten: 2 and 3 less 1 and 1
    assert row(text, "tiny", "V1 less V2, gains 1") == ["1.500 ± 0.500", "3.0"]
    two = math.log10(2)
    assert row(text, "trained", "V1 less V2") == [f"{two:.3f} ± 0.000", "inf"]


def test_the_figure_has_a_column_a_place_on_logarithmic_axes() -> None:
    axes = draw(made_up()).axes
    assert [one.get_title() for one in axes[:2]] == ["tiny, new", "after training"]
    assert all(one.get_yscale() == "log" for one in axes)
    v1 = next(line for line in axes[0].lines if line.get_label() == "V1")
    assert list(v1.get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert list(v1.get_ydata()) == pytest.approx([1, 0.75, 0.6, 5, 150, 4])


def test_images_are_of_all_kinds_and_always_the_same() -> None:
    images = flowers(16, 64)
    assert images.shape == (16, 3, 64, 64)
    assert torch.equal(images, flowers(16, 64))
    assert len({float(image.sum()) for image in images}) == 16


def test_states_of_a_new_v2(monkeypatch: pytest.MonkeyPatch) -> None:
    """With gains of 0 it is the identity; extra norms bring the variance of those of 1 back to 1."""
    monkeypatch.setitem(ARCHS, "huge", Arch(16, (1, 1, 4, 1), (1, 1, 2, 4), extra_norm_period=2))
    signals = measure_v2_at_start("huge", seed=0)
    assert list(signals) == ["V2, gains 0, extra norms", "V2, gains 1, extra norms", "V2, gains 1"]
    new, extra, without = (signals[name]["variance"] for name in signals)
    assert new == pytest.approx([1.0] * 7, abs=0.1)
    assert extra[3] == pytest.approx(1, abs=0.01)
    assert extra[5] == pytest.approx(1, abs=0.01)
    assert extra[:3] == pytest.approx(without[:3])
    assert without[2] < without[3] < without[4] < without[5]
    assert signals["V2, gains 1"]["depths"] == [1, 1, 4, 1]


def test_every_model_is_measured_once_a_seed() -> None:
    planned = [one for seed in (0, 1) for one in measurements(SIZES, seed, quick=False)]
    assert len({one.name for one in planned}) == len(planned) == 2 * (2 * len(SIZES) + len(DEEP))
    trainings = [one.training for one in planned if one.training is not None]
    assert len({one.name for one in trainings}) == len({(one.config, one.options) for one in trainings}) == 6


@pytest.mark.full
def test_the_short_form_measures_all_and_leaves_everything(tmp_path: Path) -> None:
    activations.run(Choices(quick=True, seeds=range(2), work_dir=tmp_path))
    results = json.loads((tmp_path / "results.json").read_text())["measurements"]
    assert len(results) == 2 * (2 + len(DEEP))
    values = [found for entry in results.values() for found in entry["value"].values()]
    assert all(math.isfinite(one) and one > 0 for found in values for one in found["variance"])
    text = (tmp_path / "table.md").read_text()
    assert row(text, "trained", "V1 less V2")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
