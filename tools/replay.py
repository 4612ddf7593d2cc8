#!/usr/bin/env python
"""``mmswinv2 replay``: runs the batch again at which a training stopped."""

import sys

from mmswinv2.cli import main

main(["replay", *sys.argv[1:]])
