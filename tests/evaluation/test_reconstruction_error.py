"""SimMIM's error in validation: the mean over images, however they fall into batches, of one evaluation."""

import re

import pytest
from mmengine.registry import METRICS
from mmengine.runner import LogProcessor

from mmswinv2.evaluation import ReconstructionError


def test_every_image_counts_the_same_in_unequal_batches() -> None:
    metric = METRICS.build(dict(type="mmswinv2.ReconstructionError"))
    metric.process({}, [{"loss": 1.0}, {"loss": 2.0}])
    metric.process({}, [{"loss": 6.0}])
    assert metric.evaluate(3) == {"reconstruction/l1": pytest.approx(3.0)}


def test_the_log_shows_this_evaluation_alone() -> None:
    """MMEngine smooths metrics by their names: losses and times over the last ``window_size``."""
    metric = ReconstructionError()
    metric.process(None, [{"loss": 1.0}])
    (name,) = metric.evaluate(1)
    assert re.search(LogProcessor().mean_pattern, name) is None
