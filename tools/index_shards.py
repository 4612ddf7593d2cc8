#!/usr/bin/env python
"""Writes the index of a sharded set of images, which mmswinv2.ImageShards takes as its ann_file.

python tools/index_shards.py SHARDS INDEX
"""

import argparse

from command_line import run

from mmswinv2.datasets.shard_index import write_index
from mmswinv2.engine.preflight import ConfigError


def main() -> None:
    """Reads the headers of all tar files below the folder."""
    parser = argparse.ArgumentParser(description="Index tar files of images.")
    parser.add_argument("shards", metavar="SHARDS", help="folder of the tar files, in WebDataset's layout")
    parser.add_argument("index", metavar="INDEX", help="text file to write")
    args = parser.parse_args()
    try:
        print(f"{args.index}: {write_index(args.shards, args.index)} images")
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error


if __name__ == "__main__":
    run(main)
