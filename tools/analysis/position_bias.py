#!/usr/bin/env python
"""Compares log-CPB, linear CPB and V1's table at windows larger than those of the training."""

from mmswinv2.analysis.claims import position_bias
from mmswinv2.analysis.study_cli import main

main("position_bias", position_bias.run, position_bias.__doc__, position_bias.NEEDS, quick_needs=())
