"""Packs a tree of images into tar files of WebDataset's layout, and indexes such tar files for ImageShards.

mmswinv2 shards make IMAGES SHARDS [--no-labels] [--images N]
mmswinv2 shards index SHARDS INDEX
"""

import argparse
import math
import os
from pathlib import Path
from typing import Any

from ..datasets import ImageDataset, write_index
from ..errors import DataError, EnvironmentProblem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the two actions."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    making = actions.add_parser("make", help="pack images into tar files")
    making.set_defaults(action=make)
    making.add_argument("images_folder", metavar="IMAGES", help="folder of class folders, or of images (--no-labels)")
    making.add_argument("shards", metavar="SHARDS", help="folder to write the tar files to")
    making.add_argument("--no-labels", action="store_true", help="images without labels, in any folder below IMAGES")
    making.add_argument("--images", type=int, default=10_000, metavar="N", help="images a shard (default: 10000)")
    indexing = actions.add_parser("index", help="write the index, which mmswinv2.ImageShards takes as its ann_file")
    indexing.set_defaults(action=index)
    indexing.add_argument("shards", metavar="SHARDS", help="folder of the tar files, in WebDataset's layout")
    indexing.add_argument("index", metavar="INDEX", help="text file to write")


def run(args: argparse.Namespace) -> None:
    """Packs images, or writes an index."""
    try:
        args.action(args)
    except OSError as error:
        raise DataError(str(error)) from error


def make(args: argparse.Namespace) -> None:
    """Writes the shards."""
    try:
        import webdataset
    except ImportError as error:
        raise EnvironmentProblem("Shards are written by webdataset: pip install 'mmswinv2[pretraining]'") from error
    dataset = ImageDataset(data_root=args.images_folder, with_label=not args.no_labels)
    os.makedirs(args.shards, exist_ok=True)
    pattern = f"{args.shards}/%06d.tar"
    with webdataset.ShardWriter(pattern, maxcount=args.images, maxsize=float("inf"), verbose=0) as writer:
        for position in range(len(dataset)):
            writer.write(sample(dataset.get_data_info(position), args.images_folder))
    print(f"{args.shards}: {len(dataset)} images in {math.ceil(len(dataset) / args.images)} shards")


def index(args: argparse.Namespace) -> None:
    """Writes the index, from the headers of all tar files below the folder."""
    print(f"{args.index}: {write_index(args.shards, args.index)} images")


def sample(entry: dict[str, Any], folder: str) -> dict[str, Any]:
    """Returns the members that hold an image: its bytes as they are, and its label."""
    path = Path(entry["img_path"])
    key = str(path.relative_to(folder).with_suffix("")).replace(".", "_")  # a key ends at its first dot
    members = {"__key__": key, path.suffix[1:].lower(): path.read_bytes()}
    return {**members, "cls": entry["label"]} if "label" in entry else members
