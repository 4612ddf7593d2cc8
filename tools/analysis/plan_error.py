#!/usr/bin/env python
"""Compares plans with trainings on a CPU, and prints the table of ``docs/planning.md``; names of rows choose some."""

import sys

from mmswinv2.plan.error import main

main(sys.argv[1:])
