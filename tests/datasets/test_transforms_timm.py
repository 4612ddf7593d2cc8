"""The official recipes' transforms, made by timm from a config's settings."""

import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision import transforms

from mmswinv2.datasets import TimmTransform

from .trees import IMAGES

OFFICIAL_TRAINING = dict(
    input_size=64,
    is_training=True,
    color_jitter=0.4,
    auto_augment="rand-m9-mstd0.5-inc1",
    re_prob=0.25,
    re_mode="pixel",
    re_count=1,
    interpolation="bicubic",
)


@pytest.fixture
def image() -> Image.Image:
    """A real image that is not square."""
    return Image.open(IMAGES[0]).convert("RGB").resize((300, 200))


@pytest.mark.parametrize(
    ("settings", "resize", "size"),
    [
        (dict(input_size=256, crop_pct=0.875), 292, 256),  # int(256 / 224 * 256)
        (dict(input_size=224, crop_pct=0.875), 256, 224),
        (dict(input_size=192, crop_pct=0.875), 219, 192),
        (dict(input_size=384, crop_pct=1.0, crop_mode="squash"), (384, 384), 384),
    ],
)
def test_evaluation_transforms_as_the_official_code_does(
    image: Image.Image, settings: dict, resize: object, size: int
) -> None:
    """Pixel for pixel: the shorter side to 256 / 224 of the size and a centre crop; at 384 px the whole, squeezed."""
    official = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    ours = TimmTransform(interpolation="bicubic", **settings)({"inputs": image})["inputs"]
    torch.testing.assert_close(ours, official(image), rtol=0, atol=0)


def test_training_is_seeded_by_the_global_generators(image: Image.Image) -> None:
    """What an index's seed is for: the same state of torch, numpy and random gives the same sample."""
    transform = TimmTransform(**OFFICIAL_TRAINING)
    samples = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
        samples.append(transform({"inputs": image})["inputs"])
    assert samples[0].shape == (3, 64, 64)
    assert torch.equal(samples[0], samples[1]) and not torch.equal(samples[0], samples[2])


def test_a_setting_that_timm_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"timm\.data\.create_transform: .*'auto_augmentation'"):
        TimmTransform(auto_augmentation="rand-m9")


def test_strongest_posterize(image: Image.Image) -> None:
    """Magnitude 10 keeps no bit. Of 200 draws from 15 augmentations, half of them applied, some are this one."""
    transform = TimmTransform(input_size=64, is_training=True, auto_augment="rand-m10-n200-inc1")
    assert transform({"inputs": image})["inputs"].shape == (3, 64, 64)


def test_pillow_that_refuses_the_strongest_posterize(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow 13: said when the transform is made, not by a worker some thousand images later."""

    def refuse(image: Image.Image, bits: int) -> Image.Image:
        raise ValueError("bits must be between or equal to 1 and 8")

    monkeypatch.setattr(ImageOps, "posterize", refuse)
    with pytest.raises(ValueError, match=r"with Pillow .*: pip install 'pillow<13'"):
        TimmTransform(**OFFICIAL_TRAINING)
    TimmTransform(input_size=64)
