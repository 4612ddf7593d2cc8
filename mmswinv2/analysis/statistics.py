"""Means over seeds and how sure they are."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import ConfigError


class Mean(NamedTuple):
    """The mean of some values, and its standard error.

    Attributes:
        mean: The mean.
        error: Standard deviation of the values, with n - 1 in the divisor, over the square root of their number n.
        number: How many.
    """

    mean: float
    error: float
    number: int

    @property
    def errors_from_zero(self) -> float:
        """The mean in standard errors. Values without any spread are infinitely far from 0, or 0 where they are 0."""
        if self.error == 0:
            return math.copysign(math.inf, self.mean) if self.mean else 0.0
        return self.mean / self.error

    def text(self, digits: int = 3) -> str:
        """Returns it as ``0.612 ± 0.004``."""
        return f"{self.mean:.{digits}f} ± {self.error:.{digits}f}"


def mean(values: Sequence[float]) -> Mean:
    """Returns the mean of the values of several seeds.

    Raises:
        ConfigError: There are fewer than 2, which have no spread.
    """
    if len(values) < 2:
        raise ConfigError(f"a spread needs at least 2 values, got {len(values)}: give --seeds 2 or more")
    return Mean(statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values)), len(values))


def paired_difference(values: Sequence[float], others: Sequence[float]) -> Mean:
    """Returns the mean of ``values`` less ``others``, seed by seed: what both owe to a seed falls out.

    Raises:
        ConfigError: Their numbers differ, or there are fewer than 2.
    """
    if len(values) != len(others):
        raise ConfigError(f"{len(values)} values and {len(others)} others are no pairs")
    return mean([value - other for value, other in zip(values, others, strict=True)])
