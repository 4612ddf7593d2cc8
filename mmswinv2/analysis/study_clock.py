"""Tells of a study what is being done, and how long the rest will take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console


class Step(Protocol):
    """A part of a study.

    Attributes:
        kind: What is done, a verb.
        name: Unique among those of its kind.
        cost: How long it takes beside others, in any unit.
    """

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def cost(self) -> float: ...


class Clock:
    """Tells what is being done, and how long the rest will take at the pace so far.

    Args:
        steps: All that is to be done.
        console: Where it is told.
    """

    def __init__(self, steps: Sequence[Step], console: Console) -> None:
        self._left = {(step.kind, step.name): step.cost for step in steps}
        self._count, self._done, self._spent = len(steps), 0.0, 0.0
        self._console = console

    def step(self, step: Step, resumed: bool = False) -> "_Running":
        """Returns a context in which the step is done; a resumed one was partly done before."""
        return _Running(self, step, resumed)

    def begin(self, step: Step) -> None:
        """Prints the step that comes next."""
        number = self._count - len(self._left) + 1
        left = ""
        if self._done:
            left = f", about {format_time(self._spent / self._done * sum(self._left.values()))} left"
        self._console.print(f"[{number}/{self._count}] {step.kind} {step.name}{left}", markup=False, highlight=False)

    def end(self, step: Step, resumed: bool, seconds: float) -> None:
        """Learns how long a step took, unless it took only the rest of its time."""
        cost = self._left.pop((step.kind, step.name))
        if not resumed:
            self._done += cost
            self._spent += seconds


@dataclass
class _Running:
    clock: Clock
    step: Step
    resumed: bool
    start: float = 0.0

    def __enter__(self) -> None:
        self.clock.begin(self.step)
        self.start = time.monotonic()

    def __exit__(self, kind: object, *unused: object) -> None:
        if kind is None:
            self.clock.end(self.step, self.resumed, time.monotonic() - self.start)


def format_time(seconds: float) -> str:
    """Returns a length of time as ``1:05 h`` or ``12 min``."""
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02} h" if minutes >= 60 else f"{minutes} min"
