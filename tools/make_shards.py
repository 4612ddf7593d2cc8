#!/usr/bin/env python
"""``mmswinv2 shards make``: packs images into tar files."""

import sys

from mmswinv2.cli import main

main(["shards", "make", *sys.argv[1:]])
