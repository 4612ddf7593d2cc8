#!/usr/bin/env python
"""Packs a tree of images into shards, tar files of WebDataset's layout, for tools/index_shards.py.

python tools/make_shards.py IMAGES SHARDS [--no-labels] [--images N]
"""

import argparse
import math
import os
from pathlib import Path

from command_line import run

from mmswinv2.datasets import ImageDataset
from mmswinv2.engine.preflight import ConfigError


def main() -> None:
    """Writes the shards."""
    args = parse_args()
    try:
        import webdataset
    except ImportError as error:
        raise ConfigError("Shards are written by webdataset: pip install 'mmswinv2[pretraining]'") from error
    try:
        dataset = ImageDataset(data_root=args.images_folder, with_label=not args.no_labels)
        os.makedirs(args.shards, exist_ok=True)
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error
    with webdataset.ShardWriter(
        f"{args.shards}/%06d.tar", maxcount=args.images, maxsize=float("inf"), verbose=0
    ) as writer:
        for index in range(len(dataset)):
            writer.write(sample(dataset.get_data_info(index), args.images_folder))
    print(f"{args.shards}: {len(dataset)} images in {math.ceil(len(dataset) / args.images)} shards")


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pack images into tar files.")
    parser.add_argument("images_folder", metavar="IMAGES", help="folder of class folders, or of images (--no-labels)")
    parser.add_argument("shards", metavar="SHARDS", help="folder to write the tar files to")
    parser.add_argument("--no-labels", action="store_true", help="images without labels, in any folder below IMAGES")
    parser.add_argument("--images", type=int, default=10_000, metavar="N", help="images a shard (default: 10000)")
    return parser.parse_args()


def sample(entry: dict, folder: str) -> dict:
    """The members that hold an image: its bytes as they are, and its label."""
    path = Path(entry["img_path"])
    key = str(path.relative_to(folder).with_suffix("")).replace(".", "_")  # a key ends at its first dot
    members = {"__key__": key, path.suffix[1:].lower(): path.read_bytes()}
    return {**members, "cls": entry["label"]} if "label" in entry else members


if __name__ == "__main__":
    run(main)
