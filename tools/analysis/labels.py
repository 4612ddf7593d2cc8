#!/usr/bin/env python
"""Measures how many labels SimMIM saves, on flowers, facades and nuclei."""

from mmswinv2.analysis.claims.labels import __doc__ as description
from mmswinv2.analysis.claims.labels import run
from mmswinv2.analysis.study_cli import main

main("labels", run, description, needs=("flowers5", "facade_instances", "camvid", "coco_mini"))
