"""The process of one player. It waits for a command, does what it says, answers, and waits again."""

import math
import os
import sys
import tempfile
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch

from ..errors import UserError
from .cases import Case
from .machine import MatrixRate, synchronize
from .parts import PartsAlone

LEAST_TURN = 0.5  # seconds that a turn takes at the least: short steps are repeated


class Player(NamedTuple):
    """Who takes turns in a case: a contender, or one of the two that give the scale.

    Attributes:
        name: A name of :data:`mmswinv2.benchmark.contenders.CONTENDERS`, or :data:`RATE` or :data:`PARTS`.
        compiled: Whether it is compiled.
    """

    name: str
    compiled: bool = False


RATE, PARTS = Player("matrix rate"), Player("parts alone")


def serve(connection: Connection, player: Player, case: Case, log: str) -> None:
    """Builds a player, says so, and answers commands until the connection ends.

    A command is the name of a method of :class:`Contending`, :class:`MatrixRate` or :class:`PartsAlone`, with its
    arguments. An answer is (True, result) or (False, why it failed). The first one comes unasked.

    Args:
        connection: To the process that gives the turns.
        player: Who this is.
        case: What is measured.
        log: File that takes what libraries print, and the traceback of an error.
    """
    _print_to(log)
    with tempfile.TemporaryDirectory() as cache:
        # An empty cache, so that the first step tells the time of a cold compilation.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        try:
            actor = _make_actor(player, case)
            connection.send((True, None))
            while True:
                command, *arguments = connection.recv()
                connection.send((True, getattr(actor, command)(*arguments)))
        except EOFError:
            return  # there are no more turns
        except Exception as error:
            print(f"{case.name}, {player}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            connection.send((False, _reason(error)))


def _print_to(log: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stdout.flush()
    for stream in (1, 2):
        os.dup2(file, stream)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[0] if isinstance(error, UserError) else f"{type(error).__name__}: {lines[0][:200]}"


def _make_actor(player: Player, case: Case) -> Any:
    if case.threads:
        torch.set_num_threads(case.threads)
    torch.backends.cudnn.allow_tf32 = False  # float32 is float32; products of matrices have it off by themselves
    if player == RATE:
        return MatrixRate(case)
    return PartsAlone(case) if player == PARTS else Contending(player, case)


class Contending:
    """A contender in its process."""

    def __init__(self, player: Player, case: Case) -> None:
        from .steps import make_step  # the libraries of the contenders, which the other players do without

        self.case = case
        self.step = make_step(player.name, case, player.compiled)
        self.repeats = 1

    def warm_up(self) -> float:
        """Runs three steps and returns the seconds of the first, in which a compiler works."""
        from .steps import check_gradients

        first = self._seconds(1)
        if self.case.trains:
            check_gradients(self.step)
        self._seconds(1)
        self.repeats = max(1, math.ceil(LEAST_TURN / self._seconds(1)))
        return first

    def turn(self) -> float:
        """Returns the seconds of a step."""
        return self._seconds(self.repeats)

    def memory(self) -> float | None:
        """Returns the peak memory of a step in MiB, over what stood before it."""
        from .memory import peak_memory

        self.step.model.zero_grad(set_to_none=True)  # gradients are of the step, and do not stand before it
        return peak_memory(self.step.run, self.case.device)

    def save_levels(self, path: str) -> None:
        """Writes the four levels to a file."""
        from .steps import levels_of

        torch.save(levels_of(self.step, self.case), path)

    def _seconds(self, repeats: int) -> float:
        synchronize(self.case.device)
        start = time.perf_counter()
        for _ in range(repeats):
            self.step.run()
        synchronize(self.case.device)
        return (time.perf_counter() - start) / repeats
