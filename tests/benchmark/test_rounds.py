"""A case with real processes: rows, failures, and turns in an order of their own."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mmswinv2.benchmark.rounds import Process, run_case, spread, turns_in
from mmswinv2.benchmark.worker import PARTS, RATE, Player

from .small import ARCH, CASE

PLAYERS = [Player("timm"), Player("mmswinv2"), Player("mmswinv2-plain")]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A case in which timm fails: it has no blocks with extra norms, as huge and giant have them.

    What was reported, and what libraries and errors printed, goes with it.
    """
    said: list[str] = []
    log = tmp_path_factory.mktemp("log") / "log"
    with_norms = CASE._replace(mode="train", arch=ARCH._replace(extra_norm_period=2))
    return {**run_case(with_norms, PLAYERS, 2, log, said.append), "said": said, "log": log.read_text()}


@pytest.mark.full
def test_rows(case: dict[str, Any]) -> None:
    assert [row["contender"] for row in case["rows"]] == [player.name for player in PLAYERS]
    for row in case["rows"][1:]:
        assert (row["failure"], row["package"], row["compiled"]) == (None, "mmswinv2", False)
        assert len(row["seconds"]["turns"]) == 2 and row["seconds"]["median"] > 0
        assert 0 < row["share_of_matrix_rate"] < 1 and row["share_of_parts"] > 0
        assert row["peak_memory_mib"] is None or row["peak_memory_mib"] > 0
        assert len(row["differences"]) == 4 and max(row["differences"]) < 1e-5
    assert case["rows"][1]["differences"] == [0.0] * 4  # the first that gives outputs is compared with itself
    assert case["scale_failures"] == {}


@pytest.mark.full
def test_contender_that_fails_is_a_row_that_says_why(case: dict[str, Any]) -> None:
    failed = case["rows"][0]
    assert failed["failure"] == "timm has no extra norms, which SwinV2 of this size has"
    assert "seconds" not in failed
    assert "Traceback" in case["log"]


@pytest.mark.full
def test_everyone_has_a_turn_in_each_round(case: dict[str, Any]) -> None:
    names = {*(player.name for player in PLAYERS), RATE.name, PARTS.name}
    for number in (1, 2):
        assert {said.partition(",")[0] for said in case["said"] if f"round {number} of 2" in said} == names
    assert len(case["said"]) == turns_in(len(PLAYERS), 2)


def test_process_that_is_killed_is_a_failure(tmp_path: Path) -> None:
    process = Process(RATE, CASE, tmp_path / "log")
    try:
        process.answer()
        assert process.failure is None and process.ask("turn") > 0
        os.kill(process._process.pid, signal.SIGKILL)
        assert process.ask("turn") is None
        assert process.failure == "its process ended with status -9 (the system may have had no memory left)"
        assert process.ask("turn") is None  # it is asked nothing any more
    finally:
        process.close()


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0, 5.0, 4.0]) == {
        "median": 3.0,
        "quartiles": [2.0, 4.0],
        "least": 1.0,
        "most": 5.0,
        "turns": [3.0, 1.0, 2.0, 5.0, 4.0],
    }
    assert spread([2.0])["quartiles"] == [2.0, 2.0]


@pytest.mark.full
@pytest.mark.parametrize("mode", ["inference", "train"])
def test_compiled_contenders_give_the_same(mode: str, tmp_path: Path) -> None:
    players = [Player("mmswinv2"), *(Player(name, compiled=True) for name in ("mmswinv2", "timm", "transformers"))]
    measured = run_case(CASE._replace(mode=mode), players, 1, tmp_path / "log", lambda said: None)
    for row in measured["rows"]:
        assert row["failure"] is None and max(row["differences"]) < 1e-5


@pytest.mark.full
@pytest.mark.parametrize("mode", ["mask_rcnn-inference", "mask_rcnn-train", "upernet-inference", "upernet-train"])
def test_whole_models(mode: str, tmp_path: Path) -> None:
    measured = run_case(CASE._replace(mode=mode, batch=2), PLAYERS[:2], 1, tmp_path / "log", lambda said: None)
    for row in measured["rows"]:
        assert row["failure"] is None and max(row["differences"]) < 1e-5
        assert row["share_of_matrix_rate"] is None  # the heads are not counted
