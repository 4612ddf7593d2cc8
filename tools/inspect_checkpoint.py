#!/usr/bin/env python
"""``mmswinv2 inspect``: tells what a checkpoint is."""

import sys

from mmswinv2.cli import main

main(["inspect", *sys.argv[1:]])
