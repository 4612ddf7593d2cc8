#!/usr/bin/env python
"""Measures time, memory and bytes sent of each strategy here, and prints the table of ``docs/scaling.md``."""

from mmswinv2.benchmark.strategies import main

if __name__ == "__main__":  # its processes import this file
    main()
