"""The error of a check before a run."""

from collections.abc import Sequence

NAMED = 5


class ConfigError(ValueError):
    """Something the user gave cannot work: says what, in which file or config key, and what to do."""


def name_some(items: Sequence[str]) -> str:
    """The first few of ``items``, a line each, and how many more there are."""
    more = len(items) - NAMED
    lines = [f"  {item}" for item in items[:NAMED]]
    return "\n".join(lines + ([f"  and {more} more"] if more > 0 else []))
