"""One training in one work dir: who has it is named, and a lock never outlives its process."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmswinv2.cli.run_lock import LOCK, identity, only_run_in
from mmswinv2.errors import EnvironmentProblem

from ..support import ROOT

# Holds the lock beside a forked worker, as a training beside those of its data loader, until it is killed.
HOLDER = """
import multiprocessing, sys, time
from mmswinv2.cli.run_lock import only_run_in
with only_run_in(sys.argv[1]):
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    worker.start()
    print(worker.pid, flush=True)
    worker.join()
"""


@contextmanager
def holder(work_dir: Path) -> Iterator[tuple[subprocess.Popen, int]]:
    """A process that holds the lock, and the number of its worker."""
    command = [sys.executable, "-c", HOLDER, str(work_dir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    worker = int(process.stdout.readline())
    try:
        yield process, worker
    finally:
        process.kill()
        os.kill(worker, signal.SIGKILL)  # it has the pipe open
        process.communicate()


def leave_facts(work_dir: Path, **changes: object) -> None:
    """The lock file of a run that was killed."""
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "process": "", "since": "2026-01-01", "command": "x"}
    (work_dir / LOCK).write_text(json.dumps({**facts, **changes}))


def test_a_second_training_is_told_of_the_first(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, _):
        expected = rf"at work in {tmp_path}: process {process.pid} on {socket.gethostname()}, since 20.*: -c {tmp_path}"
        for _ in range(2):  # asking does not take the lock away
            with pytest.raises(EnvironmentProblem, match=expected), only_run_in(str(tmp_path)):
                raise AssertionError
        assert process.poll() is None


def test_a_worker_that_outlives_a_killed_training_does_not_hold_its_lock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data loader's workers notice their orphanage after seconds; a scheduler restarts at once."""
    with holder(tmp_path) as (process, worker):
        process.kill()
        process.wait()
        os.kill(worker, 0)  # it lives
        with only_run_in(str(tmp_path)):
            pass
    assert f"was killed: process {process.pid} on" in capsys.readouterr().out


@pytest.mark.parametrize("failure", [None, KeyboardInterrupt, ValueError])
def test_the_lock_ends_with_the_run(
    failure: type[BaseException] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order or not: several trainings of one process may follow each other, and nothing is said of the last one."""
    try:
        with only_run_in(str(tmp_path)):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
            if failure is not None:
                raise failure
    except BaseException as error:
        assert failure is not None and isinstance(error, failure)
    with only_run_in(str(tmp_path)):
        pass
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(json.dumps({"host": "other", "pid": 1, "since": "2999-01-01 00:00:00"}), id="from the future"),
        pytest.param(json.dumps({"host": socket.gethostname(), "pid": 1, "since": "1970-01-01"}), id="before the boot"),
        pytest.param("\0" * 100, id="zeroed by a power loss"),
        pytest.param('{"host": "cut sh', id="cut short"),
        pytest.param("[1]", id="of something else"),
    ],
)
def test_what_a_dead_run_left_does_not_stop_the_next(content: str, tmp_path: Path) -> None:
    """The kernel knows whether a lock is held. Clocks and the file's content do not matter."""
    (tmp_path / LOCK).write_text(content)
    with only_run_in(str(tmp_path)):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks, such as Lustre mounted without them."""

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_the_process_is_looked_up(tmp_path: Path) -> None:
    """A process that runs is recognised by its number and its start, so a number that was given again is not."""
    leave_facts(tmp_path, pid=os.getppid(), process=identity(os.getppid()))
    with pytest.raises(EnvironmentProblem, match=f"process {os.getppid()} on .* no locks.*delete {tmp_path}/{LOCK}"):
        only_run_in(str(tmp_path)).__enter__()
    leave_facts(tmp_path, pid=os.getppid(), process=identity(os.getppid()) + "0")  # another that had this number
    with only_run_in(str(tmp_path)):
        pass
    leave_facts(tmp_path, pid=2**22 + 1, process="ended")
    with only_run_in(str(tmp_path)):
        pass


@pytest.mark.usefixtures("no_locks")
def test_without_locks_another_machine_is_named_with_the_file_to_delete(tmp_path: Path) -> None:
    leave_facts(tmp_path, host="node7")
    with pytest.raises(EnvironmentProblem, match=f"on node7, .* if that run has ended, delete {tmp_path}/{LOCK}"):
        only_run_in(str(tmp_path)).__enter__()
    assert json.loads((tmp_path / LOCK).read_text())["host"] == "node7"
