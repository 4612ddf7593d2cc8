"""The suite of ``make test-faults``, cut down to one run and a few faults."""

import random
from pathlib import Path

import pytest

from .kills import kill_and_resume, lose_power, tell_to_stop
from .runs import Counts

SUITES = [kill_and_resume, *(pytest.param(suite, marks=pytest.mark.full) for suite in (lose_power, tell_to_stop))]


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_is_lost(suite: object, tmp_path: Path) -> None:
    counts = Counts()
    suite(tmp_path, random.Random(4), counts, 2, ["simmim"], lambda line: None)
    assert not counts.failures(), counts.failures()
    assert sum(counts.faults.values()) == 2
