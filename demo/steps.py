"""What both demonstrations do: running the tools."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_tool(name: str, *arguments: object) -> None:
    """Runs a tool of the repository; its output, with progress and ETA, goes through."""
    command = [sys.executable, str(ROOT / "tools" / name), *map(str, arguments)]
    print("==", " ".join(["python", *command[1:]]).replace(f"{ROOT}/", ""), flush=True)
    status = subprocess.run(command, cwd=ROOT).returncode
    if status:
        sys.exit(f"tools/{name} failed with status {status}; the same command goes on where it stopped")
