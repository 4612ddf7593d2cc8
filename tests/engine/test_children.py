"""Processes that a training forks live as long as it does: no shorter, no longer."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event

import pytest

from mmswinv2.engine.children import bind_children

from ..support import ROOT

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def bound() -> Iterator[None]:
    bind_children((signal.SIGTERM, signal.SIGUSR1))
    yield
    bind_children(())


def _live(started: Event) -> None:
    started.set()
    time.sleep(60)


def test_a_scheduler_s_signal_does_not_end_them() -> None:
    started = FORK.Event()
    child = FORK.Process(target=_live, args=(started,))
    child.start()
    assert started.wait(60)
    os.kill(child.pid, signal.SIGTERM)
    child.join(0.5)
    assert child.is_alive()
    child.kill()
    child.join()


def test_they_listen_when_no_training_runs() -> None:
    bind_children(())
    child = FORK.Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join(20)
    assert child.exitcode == -signal.SIGTERM


def _fill_a_pipe(pids: multiprocessing.SimpleQueue, pipe: multiprocessing.Queue) -> None:
    """A worker whose batch is larger than a pipe, of which it holds both ends."""
    pids.put(os.getpid())
    pipe.put(bytes(10**7))


def _parent(pids: multiprocessing.SimpleQueue) -> None:
    FORK.Process(target=_fill_a_pipe, args=(pids, FORK.Queue())).start()
    time.sleep(60)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no signal for the death of a parent")
def test_they_do_not_outlive_a_training_that_is_killed() -> None:
    """torch's workers would wait for ever for somebody to read their batch, and keep the memory of it."""
    pids = FORK.SimpleQueue()
    parent = FORK.Process(target=_parent, args=(pids,))
    parent.start()
    worker = pids.get()
    parent.kill()
    parent.join()
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{worker}/fd/0") and time.monotonic() < deadline:  # a zombie has no files
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{worker}/fd/0")


AT_ITS_END = """
import signal, time
from torch.utils.data import DataLoader
from mmswinv2.engine.children import bind_children

class Slow(list):
    def __getitem__(self, index):
        time.sleep(600 * index)

bind_children((signal.SIGTERM,))
batches = iter(DataLoader(Slow(range(2)), num_workers=1, collate_fn=len))
next(batches)
bind_children(())
"""


def test_a_training_that_ends_does_not_wait_for_them() -> None:
    """A worker that is still at a batch when the last iteration is done."""
    script = [sys.executable, "-c", AT_ITS_END]
    run = subprocess.run(script, cwd=ROOT, timeout=120, check=True, capture_output=True, text=True)
    assert "Traceback" not in run.stderr
