#!/usr/bin/env python
"""Measures at which learning rates Swin V1's norm order and attention fail, and Swin V2's."""

from mmswinv2.analysis.claims import stability
from mmswinv2.analysis.study_cli import main

main("stability", stability.run, stability.__doc__ or "")
