"""The mean over images, however they fall into batches."""

import pytest
from mmengine.registry import METRICS


def test_mean_over_images_of_unequal_batches() -> None:
    metric = METRICS.build(dict(type="mmswinv2.ReconstructionLoss"))
    metric.process({}, [{"loss": 1.0}, {"loss": 2.0}])
    metric.process({}, [{"loss": 6.0}])
    assert metric.evaluate(3) == {"reconstruction/loss": pytest.approx(3.0)}
