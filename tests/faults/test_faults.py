"""The suite of ``make test-faults``, cut down to one run and a few faults."""

import random
from pathlib import Path

import pytest

from .kills import kill_and_resume, lose_power, tell_to_stop
from .runs import Counts


@pytest.mark.full
@pytest.mark.parametrize("suite", [kill_and_resume, lose_power, tell_to_stop])
def test_nothing_is_lost(suite: object, tmp_path: Path) -> None:
    counts = Counts()
    suite(tmp_path, random.Random(4), counts, 2, ["simmim"], lambda line: None)
    assert not counts.failures(), counts.failures()
    assert sum(counts.faults.values()) == 2
