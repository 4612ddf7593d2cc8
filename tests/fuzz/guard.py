"""What no case may do: raise another error, take long, take much memory, run code."""

import faulthandler
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from mmswinv2.errors import UserError

SECONDS = 20  # of a case
GROWTH = 1.0  # GiB by which the process may grow over all cases of a target
RUNS_CODE = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "os.fork", "socket.connect")


class TookTooLongError(Exception):
    """A case hangs."""


class RanCodeError(BaseException):
    """A case starts a process or a connection. No handler of errors takes it for a refusal."""


@dataclass
class Outcomes:
    """What became of the cases of a target.

    Attributes:
        accepted: Cases that did what they should.
        refused: Cases that ended in an error of the project's own.
        faults: Any other end: the case, and the last lines of the traceback.
    """

    target: str
    accepted: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    grown: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.target}: {self.accepted + self.refused + len(self.faults)} cases, {self.accepted} accepted, "
            f"{self.refused} refused, {len(self.faults)} faults, {self.grown:.2f} GiB grown"
        )


_watching = False


def _audit(event: str, arguments: tuple) -> None:
    if _watching and event in RUNS_CODE:
        raise RanCodeError(f"{event}{arguments}")


@contextmanager
def watched() -> Iterator[None]:
    """Lets nothing start a process, open a connection or take long."""
    global _watching
    before = signal.signal(signal.SIGALRM, _too_long)
    _watching = True
    signal.alarm(SECONDS)
    faulthandler.dump_traceback_later(3 * SECONDS, exit=True)  # where Python's own handlers get no turn
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        _watching = False
        signal.signal(signal.SIGALRM, before)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TookTooLongError(f"no end after {SECONDS} s")


def run_cases(target: str, case: Callable[[int], Any], seeds: Iterator[int] | range) -> Outcomes:
    """Runs ``case`` for each seed and sorts what becomes of it."""
    if not getattr(run_cases, "audited", False):
        sys.addaudithook(_audit)  # it cannot be taken away again
        run_cases.audited = True  # type: ignore[attr-defined]
    outcomes, before = Outcomes(target), _peak()
    for seed in seeds:
        try:
            with watched():
                case(seed)
        except UserError as error:
            if str(error).replace("\n", "").isprintable():
                outcomes.refused += 1
            else:
                outcomes.faults.append(f"{target} {seed}: a message that cannot be printed")
        except (Exception, RanCodeError):
            lines = traceback.format_exc().splitlines()
            outcomes.faults.append(f"{target} {seed}: " + "\n    ".join(lines[-7:]))
        else:
            outcomes.accepted += 1
    outcomes.grown = _peak() - before
    if outcomes.grown > GROWTH:
        outcomes.faults.append(f"{target}: the process grew by {outcomes.grown:.2f} GiB")
    return outcomes


def _peak() -> float:
    """Peak resident memory of this process, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
