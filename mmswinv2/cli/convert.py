"""Writes the backbone of a checkpoint in the form that another library reads.

SRC may be of any form of SwinV2 that is published. Heads, necks and the state of a training are left out. With --to run
nothing is: the checkpoint of a run, such as one whose parts lie in a folder, becomes one file that a run goes on from.
"""

import argparse
from pathlib import Path

from ..checkpoint import (
    TARGETS,
    check_target,
    convert,
    describe,
    open_checkpoint,
    read_checkpoint,
    save_converted,
    save_sealed,
)
from ..errors import CheckpointError, name_some
from .inspect import PREFIX, SOURCE, check_whole, print_table

RUN = "run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("source", metavar="SRC", help=SOURCE)
    parser.add_argument("destination", metavar="DST", help="file to write: .pth or .safetensors, for hf .safetensors")
    parser.add_argument("--to", required=True, choices=[*TARGETS, RUN], help="form to write")
    parser.add_argument("--prefix", help=PREFIX)


def run(args: argparse.Namespace) -> None:
    """Checks DST, reads SRC, writes DST, and prints what SRC is and what the form cannot hold of it."""
    check_target("native" if args.to == RUN else args.to, args.destination)
    if Path(args.destination).exists():
        raise CheckpointError(f"{args.destination} is there already: remove it or choose another name")
    if args.to == RUN:
        write_run(args.source, Path(args.destination))
        return
    checkpoint = open_checkpoint(args.source, args.prefix)
    check_whole(checkpoint)
    converted = convert(checkpoint, args.to)
    save_converted(converted, args.destination)
    lost = name_some(converted.left_out) or "nothing"
    print_table(checkpoint.source, {**describe(checkpoint), f"{args.to} cannot hold": lost})
    print(f"Written: {args.destination}, {len(converted.state)} tensors in the form {args.to}")


def write_run(source: str, destination: Path) -> None:
    """Writes the checkpoint of a run whole, with all that it needs to go on.

    Raises:
        CheckpointError: SRC is no checkpoint of a run, or DST is no .pth file.
    """
    if destination.suffix != ".pth":
        raise CheckpointError(f"{destination}: the checkpoint of a run is a .pth file: choose another name")
    content = read_checkpoint(source).content
    meta = content.get("meta")
    if not isinstance(meta, dict) or not isinstance(meta.get("iter"), int):
        raise CheckpointError(f"{source}: it does not tell the iteration, so it is no checkpoint of a run")
    save_sealed(content, destination, meta["iter"], resumable="optimizer" in content)
    print(f"Written: {destination}, a run after {meta['iter']} iterations")
