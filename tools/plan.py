#!/usr/bin/env python
"""``mmswinv2 plan``: tells whether a training fits the GPUs."""

import sys

from mmswinv2.cli import main

main(["plan", *sys.argv[1:]])
