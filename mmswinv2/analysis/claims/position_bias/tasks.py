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
    """

    config: str
    metric: str
    title: str
    sign: int
    digits: int
    seconds: float
    resized: Callable[[float], Options]
    tuned: Callable[[float], Options]


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
        "analysis/bias_simmim.py",
        "reconstruction/l1",
        "SimMIM, held-out loss (less is better)",
        -1,
        4,
        780,
        simmim_images("test_dataloader"),
        simmim_images("train_dataloader"),
    ),
    "flowers": Task(
        "analysis/bias_flowers.py",
        "accuracy/top1",
        "flowers, top-1 in percent",
        1,
        1,
        600,
        flower_images("test_dataloader"),
        flower_images("train_dataloader"),
    ),
    "facades": Task(
        "analysis/bias_facades.py",
        "mIoU",
        "facades, mIoU in percent",
        1,
        1,
        600,
        whole_images(256, 256),
        crops(256, 256),
    ),
    "camvid": Task(
        "analysis/bias_camvid.py",
        "mIoU",
        "driving videos, mIoU in percent",
        1,
        1,
        600,
        whole_images(240, 180),
        crops(240, 180),
    ),
}
