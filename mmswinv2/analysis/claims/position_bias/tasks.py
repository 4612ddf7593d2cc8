"""What the models are trained for, and how images of each task are enlarged."""

from collections.abc import Callable
from dataclasses import dataclass

from ...study import Options


@dataclass(frozen=True)
class Task:
    """What a model is trained for.

    Attributes:
        config: Config file below ``configs/``.
        metric: Name of the metric that ``mmswinv2 test`` gives.
        title: Of the metric.
        sign: 1 where more is better, -1 where less is.
        digits: Of the metric after the point, in tables.
        seconds: How long a training takes on one slow core, roughly.
        resized: Settings of test images that are larger by a factor.
        tuned: Settings of training images that are larger by a factor.
        maps: Tokens along a side of each stage's map at factor 1, where all images have one size.
    """

    config: str
    metric: str
    title: str
    sign: int
    digits: int
    seconds: float
    resized: Callable[[float], Options]
    tuned: Callable[[float], Options]
    maps: tuple[int, ...] | None = None


def scaled(side: int, factor: float) -> int:
    """Returns a length at a factor, in whole tokens of the last stage (16 px)."""
    return round(side * factor / 16) * 16


def simmim_images(loader: str) -> Callable[[float], Options]:
    """Settings of SimMIM's images and masks: squares of 16 px at 128 px stay as large a part of the image."""

    def options(factor: float) -> Options:
        steps = f"{loader}.dataset.pipeline"
        size = scaled(128, factor)
        return (
            (f"{steps}.1.input_size", size),
            (f"{steps}.2.input_size", size),
            (f"{steps}.2.mask_patch_size", round(16 * factor)),
        )

    return options


def flower_images(loader: str) -> Callable[[float], Options]:
    """Settings of the classifier's images, 128 px at factor 1."""
    return lambda factor: ((f"{loader}.dataset.pipeline.1.input_size", scaled(128, factor)),)


def whole_images(width: int, height: int) -> Callable[[float], Options]:
    """Settings of test images for segmentation."""

    def options(factor: float) -> Options:
        return (("test_dataloader.dataset.pipeline.1.scale", (round(width * factor), round(height * factor))),)

    return options


def crops(width: int, height: int) -> Callable[[float], Options]:
    """Settings of training images for segmentation, and of the squares of 128 px that are cut from them."""

    def options(factor: float) -> Options:
        steps, crop = "train_dataloader.dataset.pipeline", scaled(128, factor)
        return (
            (f"{steps}.2.scale", (round(width * factor), round(height * factor))),
            (f"{steps}.3.crop_size", (crop, crop)),
            ("model.data_preprocessor.size", (crop, crop)),
        )

    return options


TASKS = {
    "simmim": Task(
        config="analysis/bias_simmim.py",
        metric="reconstruction/l1",
        title="SimMIM, held-out loss (less is better)",
        sign=-1,
        digits=4,
        seconds=780,
        resized=simmim_images("test_dataloader"),
        tuned=simmim_images("train_dataloader"),
        maps=(32, 16, 8),
    ),
    "flowers": Task(
        config="analysis/bias_flowers.py",
        metric="accuracy/top1",
        title="flowers, top-1 in percent",
        sign=1,
        digits=1,
        seconds=600,
        resized=flower_images("test_dataloader"),
        tuned=flower_images("train_dataloader"),
        maps=(32, 16, 8),
    ),
    "facades": Task(
        config="analysis/bias_facades.py",
        metric="mIoU",
        title="facades, mIoU in percent",
        sign=1,
        digits=1,
        seconds=600,
        resized=whole_images(256, 256),
        tuned=crops(256, 256),
    ),
    "camvid": Task(
        config="analysis/bias_camvid.py",
        metric="mIoU",
        title="driving videos, mIoU in percent",
        sign=1,
        digits=1,
        seconds=600,
        resized=whole_images(240, 180),
        tuned=crops(240, 180),
    ),
}
