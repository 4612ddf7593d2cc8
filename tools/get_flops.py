#!/usr/bin/env python
"""``mmswinv2 flops``: counts multiply-adds and parameters."""

import sys

from mmswinv2.cli import main

main(["flops", *sys.argv[1:]])
