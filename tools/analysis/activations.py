#!/usr/bin/env python
"""Measures how activations grow with depth, in Swin V1 and in Swin V2."""

from mmswinv2.analysis.claims import activations
from mmswinv2.analysis.study_cli import main

main("activations", activations.run, activations.__doc__ or "")
