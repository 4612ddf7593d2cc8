"""``python -m tests.fuzz``: runs all targets and prints their counts, the seed, and every fault."""

import argparse
import logging
import sys
import time
import warnings

import torch

from .guard import run_cases
from .targets import TARGETS_AND_CASES


def main() -> int:
    """Runs the targets. Returns 1 if there is any fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="of all cases")
    parser.add_argument("--only", choices=TARGETS_AND_CASES, help="one target")
    parser.add_argument("--cases", type=int, help="of each target; default: 20,000 in all")
    parser.add_argument("--case", type=int, help="one case alone, by its number in a fault")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    warnings.simplefilter("ignore")  # damaged files make torch and numpy warn
    logging.disable()
    torch.set_num_threads(1)
    total = faults = 0
    for name, (target, cases) in TARGETS_AND_CASES.items():
        if args.only in (None, name):
            start = time.monotonic()
            first = args.seed if args.case is None else args.case
            outcomes = run_cases(
                name, target, range(first, first + (1 if args.case is not None else args.cases or cases))
            )
            print(f"{time.monotonic() - start:6.0f} s  {outcomes}", *outcomes.faults[:20], sep="\n  ", flush=True)
            total += outcomes.accepted + outcomes.refused + len(outcomes.faults)
            faults += len(outcomes.faults)
    print(f"{total} cases, {faults} faults, seed {args.seed}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
