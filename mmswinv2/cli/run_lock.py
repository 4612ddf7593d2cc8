"""One training in one work dir: a lock that ends with its process, however that ends.

It is a record lock (``fcntl.lockf``), not ``flock`` or a file that is merely there. The kernel takes it back when the
process dies. A worker of a data loader, which may outlive a killed training for seconds, does not inherit it. And it
holds between machines that share a file system. Neither clocks nor numbers of processes decide whether it is held,
unless the file system has no locks.
"""

import errno
import fcntl
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from ..errors import EnvironmentProblem

LOCK = "run.lock"
HELD = (errno.EACCES, errno.EAGAIN)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def only_run_in(work_dir: str) -> Iterator[None]:
    """Holds the lock of a work dir, in which the file tells other processes who holds it.

    Args:
        work_dir: An existing folder.

    Raises:
        EnvironmentProblem: Another training has the lock, or nobody can tell.
    """
    path = os.path.abspath(os.path.join(work_dir, LOCK))
    with opened(path) as file:
        held = lock(file)
        other = read_facts(file)
        if held is False or (held is None and may_run(other)):
            unsure = "" if held is False else f". This file system has no locks: if that run has ended, delete {path}"
            raise EnvironmentProblem(
                f"Another training is at work in {os.path.dirname(path)}: {described(other)}. Wait for its end or stop "
                f"it, or choose another folder with --work-dir{unsure}"
            )
        if other:
            print(f"The last training in {os.path.dirname(path)} was killed: {described(other)}. Its lock is void")
        write_facts(file)
        try:
            yield
        finally:
            with suppress(OSError):  # a full disk: the facts stay, the lock ends all the same
                file.truncate(0)


def opened(path: str) -> TextIO:
    """The lock's file, made if there is none. What another has written stays in it."""
    try:
        return open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"The lock of the work dir, {path}, cannot be opened ({error.strerror}): if no training runs there, delete "
            "it; or choose another folder with --work-dir"
        ) from error


def lock(file: TextIO) -> bool | None:
    """Takes the kernel's lock of a file; False: another process has it, None: the file system has no locks."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in HELD + NO_LOCKS:
            raise
        return False if error.errno in HELD else None
    return True


def write_facts(file: TextIO) -> None:
    """Replaces the file's content by who this process is."""
    facts = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process": identity(os.getpid()),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": shlex.join(sys.argv),
    }
    file.truncate(0)
    file.write(json.dumps(facts))
    file.flush()


def read_facts(file: TextIO) -> dict[str, Any]:
    """Who wrote the file; nothing if that run ended in order, or the file is damaged."""
    file.seek(0)
    with suppress(ValueError):
        facts = json.loads(file.read())
        if isinstance(facts, dict):
            return facts
    return {}


def described(facts: dict[str, Any]) -> str:
    """The process of a lock, for messages."""
    if not facts:
        return "it has just started"
    return "process {pid} on {host}, since {since}: {command}".format(
        **{name: facts.get(name, "unknown") for name in ("pid", "host", "since", "command")}
    )


def may_run(facts: dict[str, Any]) -> bool:
    """Whether the process of a lock may still run. What runs on another machine nobody can tell."""
    if not facts:
        return False
    return facts.get("host") != socket.gethostname() or facts.get("process") == identity(facts.get("pid"))


def identity(pid: Any) -> str:
    """What tells a process from all others that had or will have its number; empty if there is none (or no Linux).

    It is the start of the machine and the process's start in ticks from then, so that clocks do not matter.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return f"{boot} {status.rpartition(')')[2].split()[19]}"  # the name before may hold blanks and brackets
