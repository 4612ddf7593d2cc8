"""The environment of `make test-upstream` holds upstream's packages, so that the whole suite is run beside them.

Its mmcv is mmcv-lite with :mod:`tests.upstream.mmcv_ops` for compiled ops, whose two kernels are checked here.
"""

import os
from distutils.core import run_setup  # setuptools provides it where Python no longer does
from importlib.metadata import version

import mmcv
import pytest
import torch
from mmcv.ops import batched_nms, deform_conv2d, roi_align
from torch.testing import assert_close

from ..support import ROOT

pytestmark = pytest.mark.skipif(
    "MMSWINV2_UPSTREAM" not in os.environ, reason="for upstream's packages: make test-upstream"
)


def test_versions_are_those_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every package of the extra `openmmlab` is installed as it says, mmcv as mmcv-lite."""
    monkeypatch.chdir(ROOT)
    extra = run_setup("setup.py", stop_after="init").extras_require["openmmlab"]
    lines = (ROOT / "tests/upstream/requirements.txt").read_text().splitlines()
    listed = [line.replace("mmcv-lite", "mmcv") for line in lines if not line.startswith("#")]
    assert listed == extra
    pinned = dict(line.split("==") for line in listed if "==" in line)
    assert {"mmengine", "mmcv", "mmdet", "mmsegmentation"} == set(pinned)
    for name, pin in pinned.items():
        assert version("mmcv-lite" if name == "mmcv" else name) == pin
    assert mmcv.__version__ == pinned["mmcv"]


def test_nms_keeps_the_best_of_overlapping_boxes() -> None:
    """By mmcv's own function, whose arguments are those of its kernel; classes do not suppress each other."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [20, 20, 30, 30]])
    scores, classes = torch.tensor([0.5, 0.9, 0.4, 0.7]), torch.tensor([0, 0, 1, 0])
    found, kept = batched_nms(boxes, scores, classes, {"type": "nms", "iou_threshold": 0.5})
    assert kept.tolist() == [1, 3, 2]
    assert_close(found[:, 4], scores[kept])


def test_roi_align_is_the_mean_and_its_gradient_spreads() -> None:
    """A region of a ramp has the ramp's means; the gradient of their sum is one for each bin and channel."""
    features = torch.arange(16.0).repeat(1, 2, 16, 1).requires_grad_()
    rois = torch.tensor([[0.0, 4, 4, 12, 12]])
    pooled = roi_align(features, rois, (2, 2), 1.0, 2, "avg", True)
    assert_close(pooled, torch.tensor([5.5, 9.5]).expand(1, 2, 2, 2))
    (gradient,) = torch.autograd.grad(pooled.sum(), features)
    assert_close(gradient.sum((2, 3)), torch.full((1, 2), 4.0))
    assert gradient[..., :3, :].abs().max() == 0


def test_other_ops_say_that_they_are_missing() -> None:
    """None gives a wrong number in silence."""
    image, offset, weight = torch.zeros(1, 1, 4, 4), torch.zeros(1, 18, 4, 4), torch.zeros(1, 1, 3, 3)
    with pytest.raises(NotImplementedError, match=r"deform_conv_forward.*no compiled ops"):
        deform_conv2d(image, offset, weight, 1, 1)
