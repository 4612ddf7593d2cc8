"""Kills at random moments, among them while a checkpoint is written; damaged newest files; signals of a scheduler."""

import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mmswinv2.checkpoint import newest_whole
from mmswinv2.checkpoint.archive import PARTIAL
from mmswinv2.engine.preemption import REQUEUE

from .runs import Counts, TinyRun, kill

TASKS = ("mask_rcnn", "upernet", "simmim", "classifier")
FAR = 5000  # iterations that no start reaches


def kill_and_resume(
    folder: Path, draw: random.Random, counts: Counts, kills: int, tasks: Sequence[str], say: Callable[[str], object]
) -> None:
    """Kills each run ``kills`` times by SIGKILL, resumes it each time, and compares its end with an undisturbed run."""
    for index, name in enumerate(tasks):
        run = TinyRun(name, folder / name, counts, keep=1 + index % 2)
        for number in range(kills):
            moment = draw.choice(["anywhere", "training", "training", "writing"])
            _kill_once(run, moment, draw)
            say(f"{name}: kill {number + 1} of {kills}, {moment}; {run.newest()} iterations kept")
        run.finish()
        say(f"{name}: compared with an undisturbed run")


def _kill_once(run: TinyRun, moment: str, draw: random.Random) -> None:
    newest = run.newest()
    what = f"start {run.starts + 1}, killed {moment}"
    process = run.start(FAR)
    trained = False
    if moment == "anywhere":  # also while it imports, builds and loads
        time.sleep(draw.uniform(0, 12))
    elif trained := run.wait_for_iterations(process):
        time.sleep(draw.uniform(0, 1.5))
        if moment == "writing":
            _wait_for_a_partial_file(run.work_dir)
    kill(process)
    run.counts.put_in(f"SIGKILL {moment}")
    done = max(run.done_in_log(), newest)
    run.check_kept(what, done)
    if trained:
        run.check_resumed(what, newest)
    if "Traceback (most recent call last)" in run.log.read_text(errors="replace"):
        run.counts.raw.append(f"{run.name}: {what}: a traceback, see {run.log}")


def _wait_for_a_partial_file(folder: Path, seconds: float = 20) -> None:
    """Returns when a checkpoint is being written, of which there is one each few iterations."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if next(folder.glob(f"*{PARTIAL}"), None):
            return


def lose_power(
    folder: Path, draw: random.Random, counts: Counts, times: int, tasks: Sequence[str], say: Callable[[str], object]
) -> None:
    """Cuts, zeroes or changes the newest checkpoint: the run goes on from the older one, and says so."""
    for name in tasks:
        run = TinyRun(name, folder / f"{name}_power", counts, keep=2)
        for number in range(times):
            process = run.start(FAR)
            while run.wait_for_iterations(process) and len(list(run.work_dir.glob("*.pth"))) < 2:
                time.sleep(0.01)
            kill(process)
            path, _ = newest_whole([run.work_dir])
            if path is None:
                counts.lost.append(f"{name}: no checkpoint before the damage, see {run.log}")
                return
            how = _damage(path, draw)
            counts.put_in(f"newest file {how}")
            older = run.newest()
            process = run.start(FAR)
            what = f"start {run.starts}, newest file {how}"
            run.wait_for_iterations(process)
            kill(process)
            run.check_resumed(what, older)
            if f"Passed over: {path}" not in run.log.read_text(errors="replace"):
                counts.silent.append(f"{name}: {what}: it is not named, see {run.log}")
            path.unlink(missing_ok=True)
            say(f"{name}: newest file {how}, {number + 1} of {times}; it went on from {older}")


def _damage(path: Path, draw: random.Random) -> str:
    data = bytearray(path.read_bytes())
    how = draw.choice(["cut short", "zeroed at its end", "empty", "changed by a bit"])
    at = draw.randrange(1, len(data) - 1)
    if how == "cut short":
        del data[at:]
    elif how == "zeroed at its end":
        data[at:] = bytes(len(data) - at)
    elif how == "empty":
        data.clear()
    else:  # before the seal, whose words without a meaning make it none; then the file's other checksums count
        data[at % (len(data) - 500)] ^= 1 << draw.randrange(8)
    path.write_bytes(data)
    return how


def tell_to_stop(
    folder: Path, draw: random.Random, counts: Counts, times: int, tasks: Sequence[str], say: Callable[[str], object]
) -> None:
    """SIGTERM and SIGUSR1 at random moments of training: nothing at all is lost."""
    for name in tasks:
        run = TinyRun(name, folder / f"{name}_told", counts)
        for number in range(times):
            newest, process = run.newest(), run.start(FAR)
            if run.wait_for_iterations(process):
                time.sleep(draw.uniform(0, 1.5))
            told = draw.choice([signal.SIGTERM, signal.SIGUSR1])
            what = f"start {run.starts}, {told.name}"
            process.send_signal(told)
            counts.put_in(told.name)
            status = run.wait(process, what)
            if status != REQUEUE:
                counts.lost.append(f"{name}: {what}: ended with status {status}, see {run.log}")
            run.check_resumed(what, newest)
            if run.newest() < run.done_in_log():
                counts.lost.append(f"{name}: {what}: {run.done_in_log()} iterations done, {run.newest()} kept")
            say(f"{name}: {told.name}, {number + 1} of {times}; {run.newest()} iterations kept")
        run.finish()
