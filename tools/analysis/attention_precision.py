#!/usr/bin/env python
"""Measures what half precision costs inside attention, and prints the tables of ``docs/precision.md``."""

from mmswinv2.analysis.attention_precision import main

main()
