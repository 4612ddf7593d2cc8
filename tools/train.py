#!/usr/bin/env python
"""``mmswinv2 train``: trains what a config describes."""

import sys

from mmswinv2.cli import main

main(["train", *sys.argv[1:]])
