"""The rounds of a case: every player has a process, and one of them works at a time."""

import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .cases import Case
from .contenders import CONTENDERS
from .parts import count_parts, gigaflops
from .worker import PARTS, RATE, Player, serve

# After a turn the threads of OpenMP look for more work before they sleep, Intel's for 200 ms. Nobody is timed then.
PAUSE = 0.25
PATIENCE = 5.0  # seconds for a process to end by itself
Report = Callable[[str], None]  # takes a text on what happens next, at each turn


class Process:
    """A player in a process of its own.

    Attributes:
        player: Who it is.
        failure: Why it takes no more turns; None: it does.
    """

    def __init__(self, player: Player, case: Case, log: Path) -> None:
        self.player = player
        self.failure: str | None = None
        context = multiprocessing.get_context("spawn")  # nothing of this process, and a GPU allows no fork
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, player, case, str(log)), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, *command: object) -> Any:
        """Returns the answer to a command; None if the player has failed."""
        if self.failure is None:
            with suppress(OSError):  # it may have ended: the next line finds out how
                self._connection.send(command)
            return self.answer()
        return None

    def answer(self) -> Any:
        """Waits for an answer and returns it; None if the player fails."""
        try:
            done, result = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join(PATIENCE)
            code = self._process.exitcode
            out_of_memory = " (the system may have had no memory left)" if code == -9 else ""
            done, result = False, f"its process ended with status {code}{out_of_memory}"
        time.sleep(PAUSE)
        if not done:
            self.failure = result
        return result if done else None

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def turns_in(players: int, rounds: int) -> int:
    """Returns how often ``report`` is called in a case of so many contenders."""
    return (players + 2) * (rounds + 1) + 2 * players


def run_case(case: Case, players: Sequence[Player], rounds: int, log: Path, report: Report) -> dict[str, Any]:
    """Measures a case.

    Args:
        case: The case.
        players: The contenders. The outputs of all are compared with those of the first that gives any.
        rounds: Turns of each of them.
        log: File that takes what their libraries print.
        report: Called before each turn.

    Returns:
        What ``results.json`` has of a case.
    """
    processes = [Process(player, case, log) for player in (*players, RATE, PARTS)]
    try:
        for process in processes:  # they are built at the same time
            process.answer()
        first_steps = _each("first steps", processes, report, "warm_up")
        turns = _take_turns(processes, rounds, case.seed, report)
        contending = processes[: len(players)]
        memory = _each("memory", contending, report, "memory")
        differences = _compare(contending, report)
        rate, parts = (statistics.median(taken) if taken else None for taken in turns[len(players) :])
        scale = _scale(case, rate, parts)
        rows = [
            _row(*measured, scale)
            for measured in zip(contending, first_steps, turns, memory, differences, strict=False)
        ]
        failures = {one.player.name: one.failure for one in processes[len(players) :] if one.failure}
    finally:
        for process in processes:
            process.close()
    settings = {**case._asdict(), "arch": case.arch._asdict()}
    return {"name": case.name, "case": settings, **scale, "scale_failures": failures, "rows": rows}


def _each(what: str, processes: Sequence[Process], report: Report, *command: object) -> list[Any]:
    answers = []
    for process in processes:
        report(f"{process.player.name}, {what}")
        answers.append(process.ask(*command))
    return answers


def _take_turns(processes: Sequence[Process], rounds: int, seed: int, report: Report) -> list[list[float]]:
    """Every process once a round, in an order that is drawn anew for each."""
    turns: list[list[float]] = [[] for _ in processes]
    draw = random.Random(seed)
    for number in range(rounds):
        for index in draw.sample(range(len(processes)), len(processes)):
            report(f"{processes[index].player.name}, round {number + 1} of {rounds}")
            taken = processes[index].ask("turn")
            if taken is not None:
                turns[index].append(taken)
    return turns


def _compare(processes: Sequence[Process], report: Report) -> list[list[float] | None]:
    """The largest difference of each level from the first contender's, over the largest value there."""
    reference: list[Tensor] | None = None
    differences: list[list[float] | None] = []
    with tempfile.TemporaryDirectory() as folder:
        for index, process in enumerate(processes):
            report(f"{process.player.name}, outputs")
            path = Path(folder, f"{index}.pt")
            process.ask("save_levels", str(path))
            levels = None if process.failure else torch.load(path)
            path.unlink(missing_ok=True)
            reference = levels if reference is None else reference
            if levels is None or reference is None:
                differences.append(None)
            else:
                differences.append(list(map(relative_difference, levels, reference)))
    return differences


def relative_difference(x: Tensor, reference: Tensor) -> float:
    """Returns the largest difference over the largest value; infinite where values are not finite or shapes differ."""
    if x.shape != reference.shape or not torch.isfinite(x).all():
        return float("inf")
    return ((x - reference).abs().max() / reference.abs().max()).item()


def _scale(case: Case, rate: float | None, parts: float | None) -> dict[str, Any]:
    """What the rows of a case are compared with; nothing counts the heads of a whole model."""
    counted = count_parts(case)
    alone = case.whole_model is None
    return {
        "matrix_gflops_per_second": rate,
        "linear_gflop": gigaflops(counted, "linear", case.trains) if alone else None,
        "attention_gflop": gigaflops(counted, "attention", case.trains) if alone else None,
        "parts_seconds": parts if alone else None,
    }


def _row(
    process: Process,
    first_step: float | None,
    turns: list[float],
    memory: float | None,
    differences: list[float] | None,
    scale: dict[str, Any],
) -> dict[str, Any]:
    player = process.player
    row: dict[str, Any] = {
        "contender": player.name,
        "package": CONTENDERS[player.name].package,
        "compiled": player.compiled,
        "failure": process.failure,
    }
    if process.failure is None:
        row |= {
            "first_step_seconds": first_step,
            "seconds": spread(turns),
            "peak_memory_mib": memory,
            "differences": differences,
            **_shares(statistics.median(turns), scale),
        }
    return row


def spread(turns: Sequence[float]) -> dict[str, Any]:
    """Returns median, quartiles, least and most of the turns, and the turns themselves."""
    quartiles = statistics.quantiles(turns, n=4, method="inclusive") if len(turns) > 1 else list(turns) * 3
    first, median, third = quartiles
    return {"median": median, "quartiles": [first, third], "least": min(turns), "most": max(turns), "turns": turns}


def _shares(seconds: float, scale: dict[str, Any]) -> dict[str, float | None]:
    rate, linear, parts = scale["matrix_gflops_per_second"], scale["linear_gflop"], scale["parts_seconds"]
    products = linear and linear + scale["attention_gflop"]
    return {
        "share_of_matrix_rate": products and rate and products / rate / seconds,
        "share_of_parts": parts and parts / seconds,
    }
