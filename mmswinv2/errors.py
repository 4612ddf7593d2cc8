"""Errors that are meant for the user: the command line shows their message and no traceback."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

# A data loader's worker sends an exception as its type and the text of its traceback. These frame the message in it.
FRAME = "\N{START OF TEXT}", "\N{END OF TEXT}"

USER_ERROR = 2  # exit status of a command that such an error ended


class UserError(Exception):
    """Something that the user can mend: the message says what is wrong, in which file or setting, and what to do."""

    def __init__(self, message: str = "") -> None:
        start, end = FRAME
        framed = re.search(f"{start}(.*){end}", message, re.DOTALL)
        super().__init__(framed[1] if framed else message)
        if framed:
            self.__cause__ = RuntimeError(message.replace(start, "").replace(end, ""))  # with the worker's traceback

    def framed(self) -> "UserError":
        """The same error, whose message survives the way out of a data loader's worker process."""
        start, end = FRAME
        error = type(self)()
        error.args = (f"{start}{self}{end}",)
        return error


class ConfigError(UserError, ValueError):
    """A setting cannot work: the message names the config key or option."""


class ConfigTypeError(ConfigError, TypeError):
    """A setting has a value of the wrong type, or there is no such setting."""


class DataError(UserError, ValueError):
    """Data is missing, broken or does not hold together: the message names the file."""


class UnreadableImageError(DataError):
    """An image is missing or does not decode: the message is its path and why."""


class CheckpointError(UserError, ValueError):
    """A checkpoint cannot be read or does not fit: the message names the file."""


class TrainingError(UserError, RuntimeError):
    """A run that had begun cannot go on: the message says where it stood, why, and what it can go on from."""


class EnvironmentProblem(UserError, RuntimeError):  # noqa: N818, EnvironmentError is Python's own name for OSError
    """Packages, hardware, the disk or another process stand in the way: the message names which."""


def name_some(items: Iterable[object], limit: int = 8) -> str:
    """The first ``limit`` items in one line, and how many more there are: ``a, b, c and 4 more``."""
    shown, more = _first(items, limit)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def list_some(items: Iterable[object], limit: int = 5) -> str:
    """The first ``limit`` items, a line each, and how many more there are."""
    shown, more = _first(items, limit)
    return "\n".join(f"  {item}" for item in [*shown, *([f"and {more} more"] if more else [])])


def list_faults(faults: Mapping[str, Collection[object]]) -> list[str]:
    """A line for each fault that has any case: ``fault (number): the first few cases``."""
    return [f"{fault} ({len(cases)}): {name_some(cases)}" for fault, cases in faults.items() if cases]


def _first(items: Iterable[object], limit: int) -> tuple[Sequence[str], int]:
    rest = iter(items)
    shown = [str(item) for item in islice(rest, limit)]
    return shown, sum(1 for _ in rest)
