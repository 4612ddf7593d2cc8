#!/usr/bin/env python
"""``mmswinv2 check``: looks at all images and annotations of a config."""

import sys

from mmswinv2.cli import main

main(["check", *sys.argv[1:]])
