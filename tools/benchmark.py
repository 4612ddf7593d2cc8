#!/usr/bin/env python
"""``mmswinv2 benchmark``: measures speed and memory beside other implementations."""

import sys

from mmswinv2.cli import main

if __name__ == "__main__":  # its processes import this file
    main(["benchmark", *sys.argv[1:]])
