"""Writes the backbone of a checkpoint in the form that another library reads.

SRC may be of any form of SwinV2 that is published. Heads, necks and the state of a training are left out.
"""

import argparse
from pathlib import Path

from ..checkpoint import TARGETS, check_target, convert, describe, open_checkpoint, save_converted
from ..errors import CheckpointError, name_some
from .inspect import PREFIX, SOURCE, check_whole, print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("source", metavar="SRC", help=SOURCE)
    parser.add_argument("destination", metavar="DST", help="file to write: .pth or .safetensors, for hf .safetensors")
    parser.add_argument("--to", required=True, choices=TARGETS, help="form to write")
    parser.add_argument("--prefix", help=PREFIX)


def run(args: argparse.Namespace) -> None:
    """Checks DST, reads SRC, writes DST, and prints what SRC is and what the form cannot hold of it."""
    check_target(args.to, args.destination)
    if Path(args.destination).exists():
        raise CheckpointError(f"{args.destination} is there already: remove it or choose another name")
    checkpoint = open_checkpoint(args.source, args.prefix)
    check_whole(checkpoint)
    converted = convert(checkpoint, args.to)
    save_converted(converted, args.destination)
    lost = name_some(converted.left_out) or "nothing"
    print_table(checkpoint.source, {**describe(checkpoint), f"{args.to} cannot hold": lost})
    print(f"Written: {args.destination}, {len(converted.state)} tensors in the form {args.to}")
