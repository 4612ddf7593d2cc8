"""The processes that a training forks, as the workers of its data loaders: they live as long as it does.

A scheduler signals the whole group. Workers would die of that, and the run with them, before it has saved; so they do
not listen. And where the training is killed, they would stay for ever if a batch waits in a full pipe: they hold its
other end themselves, so no error wakes them. So the kernel kills them with the training, and what is there at its end
is killed as well.
"""

import atexit
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from functools import cache

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent dies

_unheard: tuple[signal.Signals, ...] = ()


def bind_children(unheard: Sequence[signal.Signals]) -> None:
    """Binds the life of every process that is forked from here on to that of this process.

    Args:
        unheard: Signals to which they do not listen; none: they are left alone again.
    """
    global _unheard
    _unheard = tuple(unheard)
    _act_on_forks()


@cache
def _act_on_forks() -> None:
    os.register_at_fork(after_in_child=_bind)
    atexit.register(_kill_children)


def _bind() -> None:
    if not _unheard:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _unheard)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _kill_children() -> None:
    """At the end multiprocessing sends its daemons SIGTERM and waits for them: for ever, if they do not listen."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler takes the end of a worker for an error
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()
