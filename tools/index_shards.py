#!/usr/bin/env python
"""``mmswinv2 shards index``: indexes tar files of images."""

import sys

from mmswinv2.cli import main

main(["shards", "index", *sys.argv[1:]])
