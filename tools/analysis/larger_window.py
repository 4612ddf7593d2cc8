#!/usr/bin/env python
"""Tests and trains detectors and segmentors of window 8 at larger windows and on larger images."""

from mmswinv2.analysis.claims.larger_window import __doc__ as description
from mmswinv2.analysis.claims.larger_window import run
from mmswinv2.analysis.study_cli import main

main("larger_window", run, description)
