"""A few of the cases of ``make test-faults``. Each target must refuse some and accept some, or it proves nothing."""

import os

import pytest

from mmswinv2.errors import ConfigError

from .guard import run_cases
from .targets import TARGETS_AND_CASES


@pytest.mark.parametrize("name", TARGETS_AND_CASES)
@pytest.mark.filterwarnings("ignore")  # damaged files make torch and numpy warn
def test_every_refusal_is_one_of_our_own(name: str) -> None:
    target, cases = TARGETS_AND_CASES[name]
    outcomes = run_cases(name, target, range(cases // 50))
    assert not outcomes.faults, outcomes.faults[:3]
    assert outcomes.refused and outcomes.accepted


def test_the_guard_sees_what_it_should() -> None:
    """Another error, and a process that is started."""

    def case(seed: int) -> None:
        if seed == 0:
            raise ConfigError("refused")
        if seed == 1:
            raise KeyError("raw")
        if seed == 2:
            os.system("true")

    outcomes = run_cases("guard", case, range(4))
    assert (outcomes.refused, outcomes.accepted) == (1, 1)
    assert "KeyError: 'raw'" in outcomes.faults[0] and "os.system" in outcomes.faults[1]
