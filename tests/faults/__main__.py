"""``python -m tests.faults``: puts faults into real runs and prints counts, the seed, and whatever went wrong."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from .kills import TASKS, kill_and_resume, lose_power, tell_to_stop
from .runs import Counts


def main() -> int:
    """Runs the suite. Returns 1 if anything was lost, hung, silent or raw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="of the random moments and damages")
    parser.add_argument("--kills", type=int, default=16, help="SIGKILLs of each of the four runs")
    parser.add_argument("--damages", type=int, default=4, help="damaged newest files of each run")
    parser.add_argument("--signals", type=int, default=4, help="SIGTERM or SIGUSR1 to each run")
    parser.add_argument("--folder", help="keep the runs and their logs here; default: a temporary folder")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    draw, counts, start = random.Random(args.seed), Counts(), time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {line}", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.folder or temporary).resolve()
        kill_and_resume(folder, draw, counts, args.kills, TASKS, say)
        lose_power(folder, draw, counts, args.damages, TASKS, say)
        tell_to_stop(folder, draw, counts, args.signals, TASKS, say)
    print(counts)
    print(*counts.failures(), f"seed {args.seed}", sep="\n")
    return 1 if counts.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
