"""Mixup and CutMix are what their papers define, in training only, and refuse batches that they cannot pair."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmswinv2.models import MixupPreprocessor

CLASSES, SMOOTHING = 5, 0.1


def mix(**options: object) -> tuple[Tensor, dict, dict]:
    """Images before, and the batch before and after mixing; the share that was drawn differs at every call."""
    np.random.seed(int(torch.randint(2**31, ())))
    preprocessor = MODELS.build(
        dict(type="mmswinv2.MixupPreprocessor", num_classes=CLASSES, label_smoothing=SMOOTHING, **options)
    )
    batch = {"inputs": torch.randn(4, 3, 16, 16), "label": torch.tensor([0, 3, 3, 1]), "img_path": list("abcd")}
    images = batch["inputs"].clone()
    return images, batch, preprocessor(batch, training=True)


def smoothed(label: Tensor) -> Tensor:
    return F.one_hot(label, CLASSES) * (1 - SMOOTHING) + SMOOTHING / CLASSES


def test_mixup_is_its_definition() -> None:
    """Images and labels are mixed with the same share; batch[i] goes with batch[-1 - i]."""
    images, batch, mixed = mix(cutmix_alpha=0.0)
    flipped = images.flip(0)
    share = ((mixed["inputs"] - flipped) * (images - flipped)).sum() / (images - flipped).square().sum()
    assert 0 < share < 1
    torch.testing.assert_close(mixed["inputs"], share * images + (1 - share) * flipped)
    expected = share * smoothed(batch["label"]) + (1 - share) * smoothed(batch["label"].flip(0))
    torch.testing.assert_close(mixed["label"], expected)


def test_cutmix_is_its_definition() -> None:
    """A label's share is that of the pixels."""
    for _ in range(10):
        images, batch, mixed = mix(mixup_alpha=0.0)
        own = (mixed["inputs"] == images).all(dim=1)
        assert (mixed["inputs"] == torch.where(own[:, None], images, images.flip(0))).all()
        share = own[0].float().mean()
        expected = share * smoothed(batch["label"]) + (1 - share) * smoothed(batch["label"].flip(0))
        torch.testing.assert_close(mixed["label"], expected)


def test_soft_targets_sum_to_one() -> None:
    for _ in range(20):
        _, _, mixed = mix()
        torch.testing.assert_close(mixed["label"].sum(dim=1), torch.ones(4))
        assert (mixed["label"] >= SMOOTHING / CLASSES - 1e-6).all() and mixed["img_path"] == list("abcd")


def test_evaluation_is_not_mixed() -> None:
    batch = {"inputs": torch.randn(3, 3, 16, 16), "label": torch.tensor([0, 3, 1])}
    after = MixupPreprocessor(CLASSES)(batch, training=False)
    assert torch.equal(after["inputs"], batch["inputs"]) and torch.equal(after["label"], batch["label"])


def test_odd_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="even batch_size and drop_last=True"):
        MixupPreprocessor(CLASSES)({"inputs": torch.zeros(3, 3, 8, 8), "label": torch.zeros(3)}, training=True)


def test_nothing_to_mix_is_refused() -> None:
    with pytest.raises(ValueError, match="mixes nothing"):
        MixupPreprocessor(CLASSES, mixup_alpha=0.0, cutmix_alpha=0.0)


def test_detection_does_not_import_timm() -> None:
    """It takes a second, and an installation for detection need not have it."""
    code = "import sys, mmswinv2.models, mmswinv2.engine, mmswinv2.evaluation; sys.exit('timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
