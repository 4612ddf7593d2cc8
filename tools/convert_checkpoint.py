#!/usr/bin/env python
"""``mmswinv2 convert``: writes a backbone in another form."""

import sys

from mmswinv2.cli import main

main(["convert", *sys.argv[1:]])
