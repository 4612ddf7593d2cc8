#!/usr/bin/env python
"""Writes the backbone of a checkpoint in the form that another library reads.

python tools/convert_checkpoint.py SRC DST --to {native,official,timm,hf} [--prefix P]

SRC is a path, a URL or hf-hub:OWNER/NAME, of any form of SwinV2 that is published. DST ends with .pth or .safetensors.
Heads, necks and the state of a training are left out.
"""

import argparse
from pathlib import Path

from command_line import run
from summary import check_whole, print_table

from mmswinv2.checkpoint import (
    TARGETS,
    CheckpointError,
    check_target,
    convert,
    describe,
    open_checkpoint,
    save_converted,
)
from mmswinv2.checkpoint.matching import listed


def main() -> None:
    """Checks DST, reads SRC, writes DST, and prints what SRC is and what the form cannot hold of it."""
    args = parse_args()
    check_target(args.to, args.destination)
    if Path(args.destination).exists():
        raise CheckpointError(f"{args.destination} is there already: remove it or choose another name")
    checkpoint = open_checkpoint(args.source, args.prefix)
    check_whole(checkpoint)
    converted = convert(checkpoint, args.to)
    save_converted(converted, args.destination)
    lost = listed(converted.left_out) or "nothing"
    print_table(checkpoint.source, {**describe(checkpoint), f"{args.to} cannot hold": lost})
    print(f"Written: {args.destination}, {len(converted.state)} tensors in the form {args.to}")


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write the backbone of a checkpoint in another form.")
    parser.add_argument("source", metavar="SRC", help="path, URL or hf-hub:OWNER/NAME")
    parser.add_argument("destination", metavar="DST", help="file to write: .pth or .safetensors, for hf .safetensors")
    parser.add_argument("--to", required=True, choices=TARGETS, help="form to write")
    parser.add_argument("--prefix", help="what precedes the backbone's names, in a file with several backbones")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
