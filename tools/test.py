#!/usr/bin/env python
"""``mmswinv2 test``: evaluates a checkpoint."""

import sys

from mmswinv2.cli import main

main(["test", *sys.argv[1:]])
