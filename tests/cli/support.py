"""Running the tools as a user does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ..support import ROOT

CONFIGS = Path(__file__).parent
TIMEOUT = 300


def command(tool: str, *arguments: object) -> list[str]:
    """The command line of a tool."""
    return [sys.executable, str(ROOT / "tools" / tool), *map(str, arguments)]


def said_by(tool: str) -> str:
    """What a tool's messages begin with: the command that it is a front of."""
    return f"mmswinv2 {tool.removesuffix('.py').removesuffix('_checkpoint')}"


def environment(root: Path) -> dict[str, str]:
    """The environment of a run on the data below ``root``."""
    return {**os.environ, "TINY_ROOT": str(root), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run_tool(tool: str, *arguments: object, root: Path, cwd: Path) -> subprocess.CompletedProcess:
    """Runs a tool to its end; stdout and stderr are text."""
    return subprocess.run(
        command(tool, *arguments), cwd=cwd, env=environment(root), capture_output=True, text=True, timeout=TIMEOUT
    )


def run_until_killed(appears: Path, tool: str, *arguments: object, root: Path, cwd: Path) -> None:
    """Starts a tool and kills it, without a chance to tidy up, once the file ``appears`` is there."""
    with open(cwd / "killed.log", "w") as log:
        process = subprocess.Popen(command(tool, *arguments), cwd=cwd, env=environment(root), stdout=log, stderr=log)
        deadline = time.monotonic() + TIMEOUT
        try:
            while not appears.exists():
                assert process.poll() is None, f"ended by itself:\n{(cwd / 'killed.log').read_text()[-3000:]}"
                assert time.monotonic() < deadline, f"no {appears} after {TIMEOUT} s"
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
