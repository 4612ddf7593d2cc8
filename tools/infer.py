#!/usr/bin/env python
"""``mmswinv2 infer``: predicts for images."""

import sys

from mmswinv2.cli import main

main(["infer", *sys.argv[1:]])
