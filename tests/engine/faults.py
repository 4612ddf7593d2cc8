"""What goes wrong in a training: pixels, losses and gradients that are not finite, readers that hang or die.

Config files name this module in ``custom_imports``; the classes are registered for them.
"""

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS, MODELS, TRANSFORMS
from mmengine.runner import Runner
from torch import Tensor

from mmswinv2 import ImageClassifier

from .tiny_training import SeededCrops


@DATASETS.register_module()
class SpoiltCrops(SeededCrops):
    """Crops of which some have a pixel of another value.

    Args:
        spoilt: Indices of these samples.
        value: The pixel's.
    """

    def __init__(self, spoilt: Sequence[int] = (), value: float = float("nan"), **options: Any) -> None:
        self.spoilt, self.value = spoilt, value
        super().__init__(**options)

    def sample(self, index: int) -> dict[str, Any]:
        sample = super().sample(index)
        if int(index) in self.spoilt:
            sample["inputs"][0, 3, 3] = self.value
        return {**sample, "img_path": f"number {int(index)}"}


@MODELS.register_module()
class RootClassifier(ImageClassifier):
    """Adds the root of a sum of squares that is 0: its value is good, its gradient is none."""

    def forward(self, *args: Any, mode: str = "tensor", **kwargs: Any) -> Any:
        outputs = super().forward(*args, mode=mode, **kwargs)
        if mode != "loss":
            return outputs
        weight = self.backbone.layers[1].blocks[0].mlp.fc1.weight
        return {**outputs, "root_loss": (weight - weight.detach()).square().sum().sqrt()}


@TRANSFORMS.register_module()
class EndAt:
    """A transform that sleeps for ever, or kills its process, at the image whose path has a part ``name``.

    Args:
        name: Part of a path.
        signal_name: Of the signal, such as ``SIGKILL``; empty: it sleeps.
        seconds: How long it sleeps.
    """

    def __init__(self, name: str, signal_name: str = "", seconds: float = 3600) -> None:
        self.name, self.signal_name, self.seconds = name, signal_name, seconds

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        if self.name in results["img_path"]:
            if self.signal_name:
                os.kill(os.getpid(), getattr(signal, self.signal_name))
            time.sleep(self.seconds)
        return results


def is_finite(state: dict[str, Tensor]) -> bool:
    """Whether all weights are."""
    return all(bool(tensor.isfinite().all()) for tensor in state.values() if tensor.is_floating_point())


@TRANSFORMS.register_module()
class SpoilPixel:
    """A transform that makes a pixel NaN in the image whose path has a part ``name``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        if self.name in results["img_path"]:
            results["img"] = results["img"].astype("float32")
            results["img"][3, 3] = float("nan")
        return results


@HOOKS.register_module()
class RunOutOfMemory(Hook):
    """Raises in one process, before an iteration, what torch raises when a GPU has no memory left.

    Args:
        rank: The process.
        iteration: From 0.
    """

    def __init__(self, rank: int, iteration: int) -> None:
        self.rank, self.iteration = rank, iteration

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if (runner.rank, runner.iter) == (self.rank, self.iteration):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore that torch says")
