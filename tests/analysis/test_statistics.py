"""Means and their standard errors, by hand."""

import math

import pytest

from mmswinv2.analysis.statistics import Mean, mean, paired_difference
from mmswinv2.errors import ConfigError


def test_mean_and_standard_error_by_hand() -> None:
    """1, 2 and 6: mean 3, squared deviations 4 + 1 + 9 = 14, variance 14 / 2 = 7, error sqrt(7 / 3)."""
    assert mean([1, 2, 6]) == pytest.approx(Mean(3, math.sqrt(7 / 3), 3))


def test_paired_differences_drop_what_both_owe_to_a_seed() -> None:
    """Differences 1, 2 and 3: mean 2, variance 1, error sqrt(1 / 3), whatever the seeds add to both."""
    values, others = [11, 102, 1003], [10, 100, 1000]
    difference = paired_difference(values, others)
    assert difference == pytest.approx(Mean(2, math.sqrt(1 / 3), 3))
    assert difference.errors_from_zero == pytest.approx(2 * math.sqrt(3))
    assert paired_difference(others, values).mean == -2


def test_values_without_spread() -> None:
    assert mean([2.0, 2.0]).errors_from_zero == math.inf
    assert mean([-2.0, -2.0]).errors_from_zero == -math.inf
    assert mean([0.0, 0.0]).errors_from_zero == 0


def test_text() -> None:
    assert Mean(0.61249, 0.0041, 3).text() == "0.612 ± 0.004"
    assert Mean(61.249, 0.41, 3).text(digits=1) == "61.2 ± 0.4"


def test_one_value_has_no_spread() -> None:
    with pytest.raises(ConfigError, match="at least 2 values, got 1: give --seeds 2 or more"):
        mean([1.0])


def test_other_numbers_are_no_pairs() -> None:
    with pytest.raises(ConfigError, match="3 values and 2 others are no pairs"):
        paired_difference([1, 2, 3], [1, 2])
