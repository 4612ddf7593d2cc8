"""Neck, heads and losses: measured without their arithmetic and without stages, on lines that go on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmswinv2.errors import ConfigError
from mmswinv2.plan import rest
from mmswinv2.plan.batches import made_up_batch
from mmswinv2.plan.live import LiveMemory
from mmswinv2.plan.measure import training_of
from mmswinv2.plan.precision import Precision

from ..support import ROOT

CLI = ROOT / "tests/cli"
ON_CPU = Precision(half=False, like_gpu=False)
CONFIGS = {
    "mask_rcnn": CLI / "tiny_mask_rcnn.py",
    "upernet": CLI / "tiny_upernet.py",
    "simmim": ROOT / "configs/demo/simmim_swinv2_photos.py",
    "classifier": ROOT / "configs/demo/classifier_swinv2_flowers.py",
}


def read(path: Path) -> Config:
    cfg = Config.fromfile(path)
    cfg.model.backbone.drop_path_rate = 0.0
    return cfg


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name != "mask_rcnn" else pytest.mark.full) for name in CONFIGS]
)
def test_parts_add_up_to_the_whole_step(name: str) -> None:
    """The model itself, with all its arithmetic, lives in as much memory as its two parts were told to."""
    cfg = read(CONFIGS[name])
    planned = training_of(cfg, 2, (256, 256), ON_CPU)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
        model: Any = revert_sync_batchnorm(MODELS.build(cfg.model))
    model.init_weights()
    model.train()
    with LiveMemory(model) as memory:
        model.parse_losses(model(**made_up_batch(model, 2, (256, 256)), mode="loss"))[0].backward()
    assert max(map(sum, planned.moments)) == pytest.approx(memory.peak, rel=0.05)


def test_a_line_through_two_small_sizes_goes_on_to_larger_ones() -> None:
    """Four images of 320 x 192 px, from two of 128 x 128 and 256 x 256."""
    cfg = read(CONFIGS["upernet"])
    model = rest.build_without_stages(cfg).train()
    line = rest.rest_step(cfg, 4, (320, 320), ON_CPU)
    large = rest.measured_step(model, 320, ON_CPU)
    assert line.peak == pytest.approx(2 * large.peak, rel=0.02)
    assert line.kept == pytest.approx(2 * large.kept, rel=0.02)


def test_a_backbone_that_is_frozen_asks_for_no_gradients() -> None:
    cfg = read(CONFIGS["upernet"])
    cfg.model.backbone.frozen_stages = 4
    assert rest.measured_step(rest.build_without_stages(cfg).train(), 64, ON_CPU).kept == 0


def test_a_model_that_takes_no_such_batches_is_named() -> None:
    """Here a head expects other channels than it gets."""
    cfg = read(CONFIGS["upernet"])
    cfg.model.auxiliary_head.in_channels = 95
    with pytest.raises(ConfigError, match="EncoderDecoder does not learn from the images that plan makes up"):
        rest.rest_step(cfg, 2, (64, 64), ON_CPU)


def test_models_that_nobody_made_batches_for_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"plan knows detectors, segmentors, .* the config's model is a Linear"):
        made_up_batch(nn.Linear(1, 1), 2, (64, 64))


def test_made_up_boxes_lie_in_the_image() -> None:
    from mmswinv2.plan.batches import OBJECTS, random_boxes

    boxes = random_boxes((96, 256))
    assert boxes.shape == (OBJECTS, 4)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= torch.tensor([256, 96])).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) >= 15.99).all()
