"""What a plan reads from a config: the size of its batches, its optimizer, and what else takes memory."""

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmswinv2.errors import ConfigError
from mmswinv2.plan.training import (
    has_averaged_weights,
    image_size,
    is_half,
    optimizer_cost,
)

from ..support import ROOT


def config(pipeline: list[dict], wrapper: dict | None = None, **preprocessor: object) -> Config:
    dataset = {"type": "Any", "pipeline": pipeline}
    dataset = dataset if wrapper is None else {**wrapper, "dataset": dataset}
    return Config(
        {"model": {"type": "Any", "data_preprocessor": preprocessor}, "train_dataloader": {"dataset": dataset}}
    )


RESIZE = {"type": "RandomResize", "scale": (2048, 512), "ratio_range": (0.5, 2.0), "keep_ratio": True}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py", (800, 1344)),  # padded to a multiple of 32
        ("mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_amp-ms-crop-3x_coco.py", (800, 1344)),  # the largest of its scales
        ("upernet/upernet_swinv2-l-w40_8xb8-amp-40k_ade20k-640x640.py", (640, 640)),
        ("imagenet/swinv2-b-w24_in22k-pre_16xb64-30e_in1k-384px.py", (384, 384)),
        ("simmim/simmim_swinv2-g-w12_144xb64-152k_in22k-192px.py", (192, 192)),
    ],
)
def test_size_of_the_recipes(name: str, size: tuple[int, int]) -> None:
    assert image_size(Config.fromfile(ROOT / "configs" / name)) == size


@pytest.mark.parametrize(
    ("cfg", "size"),
    [
        (config([RESIZE]), (1024, 4096)),  # at its largest ratio
        (config([RESIZE, {"type": "RandomCrop", "crop_size": (512, 512)}]), (512, 512)),
        (config([{"type": "Resize", "scale": 224}]), (224, 224)),
        (config([{"type": "RandomCrop", "crop_size": (0.5, 0.5)}, {"type": "Pad", "size": (640, 480)}]), (480, 640)),
        (config([RESIZE], {"type": "Mosaic", "pipeline": [{"type": "Resize", "scale": (640, 640)}]}), (640, 640)),
        (config([RESIZE], batch_augments=[{"type": "BatchFixedSizePad", "size": (1024, 1024)}]), (1024, 1024)),
    ],
)
def test_what_comes_last_decides_on_the_size(cfg: Config, size: tuple[int, int]) -> None:
    assert image_size(cfg) == size


def test_a_pipeline_without_a_size_asks_for_it() -> None:
    with pytest.raises(ConfigError, match=r"No image size was found .*--size 800 1344"):
        image_size(config([{"type": "LoadImageFromFile"}, {"type": "Crop", "scale": (0.67, 1.0)}]))


@pytest.mark.parametrize(
    ("optimizer", "state"),
    [
        ({"type": "AdamW", "lr": 1e-4}, 2),
        ({"type": "SGD", "lr": 0.1, "momentum": 0.9}, 1),
        ({"type": "SGD", "lr": 0.1}, 0),
    ],
)
def test_the_optimizer_s_state_is_what_it_keeps(optimizer: dict, state: int) -> None:
    cfg = Config({"optim_wrapper": {"type": "AmpOptimWrapper", "dtype": "bfloat16", "optimizer": optimizer}})
    assert optimizer_cost(cfg, nn.Linear(8, 8), like_gpu=True).state == state
    assert is_half(cfg)


def test_a_gpu_s_optimizer_copies_a_group_and_a_fused_one_nothing() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 16, bias=False))
    whole, largest = (64 + 128) * 4, 128 * 4  # bytes
    found = []
    for settings in ({}, {"foreach": False}, {"fused": True}):
        cfg = Config({"optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 1, **settings}}})
        found.append(optimizer_cost(cfg, model, like_gpu=True).temporary)
    assert found == [whole, largest, 0]


def test_averaged_weights_are_told_by_the_config() -> None:
    assert has_averaged_weights(Config({"custom_hooks": [{"type": "EMAHook"}]}))
    assert not has_averaged_weights(Config({"custom_hooks": [{"type": "NumClassCheckHook"}]}))
