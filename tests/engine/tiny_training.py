"""A training that takes seconds: real images, tiny models, everything random that a recipe draws.

Config files name this module in ``custom_imports``; the classes are registered for them.
"""

import multiprocessing
import os
import random
import signal
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor

from mmswinv2.datasets.seeds import seed_process
from mmswinv2.engine import SeededIndex

from ..support import FIXTURES

IMAGES = sorted((FIXTURES / "coco").glob("*2017/*.jpg"))
SIDE, CLASSES = 32, 4
ARCH = dict(embed_dims=8, depths=[2, 2], num_heads=[1, 2])
BACKBONE = dict(
    type="mmswinv2.SwinTransformerV2", arch=ARCH, window_size=4, out_indices=(1,), drop_path_rate=0.4, drop_rate=0.1
)
CLASSIFIER = dict(
    type="mmswinv2.ImageClassifier",
    backbone=BACKBONE,
    num_classes=CLASSES,
    data_preprocessor=dict(type="mmswinv2.MixupPreprocessor", num_classes=CLASSES),
)
SIMMIM = dict(type="mmswinv2.SimMIM", backbone=BACKBONE, target_window=15)


@cache
def pixels(index: int) -> np.ndarray:
    """An image, small enough to be kept, (h, w, 3)."""
    with Image.open(IMAGES[index]) as image:
        image.thumbnail((96, 96))
        return np.asarray(image.convert("RGB"))


@DATASETS.register_module()
class SeededCrops(BaseDataset):
    """Random crops and masks of the shipped images, drawn from the global generators under the index's seed.

    Args:
        size: Samples, of which several may be of one image.
    """

    METAINFO: ClassVar = {"classes": tuple("abcd")}

    def __init__(self, size: int, **options: Any) -> None:
        self.size = size
        super().__init__(**options)

    def load_data_list(self) -> list[dict]:
        """An entry a sample."""
        return [{"img_path": str(IMAGES[i % len(IMAGES)]), "label": i % CLASSES} for i in range(self.size)]

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not isinstance(index, SeededIndex):
            return self.sample(index)
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        seed_process(index.seed)
        try:
            return self.sample(index)
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])

    def sample(self, index: int) -> dict[str, Any]:
        """A crop, flipped by one generator, placed by another and masked by a third."""
        image = pixels(index % len(IMAGES))
        top, left = (np.random.randint(length - SIDE + 1) for length in image.shape[:2])
        crop = image[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1) / np.float32(64) - 2
        crop = crop[:, :, :: random.choice((1, -1))].copy()
        info = self.get_data_info(index)
        cells = (SIDE // 8) ** 2
        mask = (torch.rand(cells).argsort() < cells // 2).view(SIDE // 8, SIDE // 8)  # as many in each image
        mask = mask.repeat_interleave(2, 0).repeat_interleave(2, 1)
        return {"inputs": torch.from_numpy(crop), "mask": mask, "label": info["label"], "img_path": info["img_path"]}


@HOOKS.register_module()
class Kill(Hook):
    """Kills its own process, by default without a chance to tidy up.

    Args:
        after: The iteration, from 1, after which it does.
        number: The signal.
        group: Whether the workers of its loaders get the signal too, as from a scheduler.
    """

    priority = "LOWEST"

    def __init__(self, after: int, number: int = signal.SIGKILL, group: bool = False) -> None:
        self.after = after
        self.number = number
        self.group = group

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Kills, after the checkpoint of this iteration if there is one."""
        if runner.iter + 1 == self.after:
            children = multiprocessing.active_children() if self.group else []
            for process in [*(child.pid for child in children), os.getpid()]:
                os.kill(process, self.number)


@HOOKS.register_module()
class Record(Hook):
    """Keeps what a run in this process computed.

    Attributes:
        losses: Loss of each iteration, by its number from 0.
        batches: Index of each iteration's batch within its epoch, by its number.
        stop_after: The iteration, from 1, after which the run ends by :class:`StoppedError`; None: never.
    """

    priority = "LOWEST"

    def __init__(self, stop_after: int | None = None) -> None:
        self.losses: dict[int, Tensor] = {}
        self.batches: dict[int, int] = {}
        self.stop_after = stop_after

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Sequence | None = None, outputs: dict | None = None
    ) -> None:
        """Records an iteration."""
        self.losses[runner.iter] = outputs["loss"].detach().clone()
        self.batches[runner.iter] = batch_idx
        if runner.iter + 1 == self.stop_after:
            raise StoppedError


class StoppedError(Exception):
    """A run is to end here."""


def training(model: dict, loop: dict, sampler: dict, **changes: Any) -> dict[str, Any]:
    """Arguments of a :class:`Runner` without ``work_dir``."""
    dataset = dict(type="SeededCrops", size=22)
    loader = dict(batch_size=4, drop_last=True, num_workers=0, collate_fn=dict(type="default_collate"))
    return {
        "model": model,
        "train_dataloader": dict(dataset=dataset, sampler=sampler, **loader),
        "train_cfg": loop,
        "optim_wrapper": dict(
            type="OptimWrapper",
            optimizer=dict(type="AdamW", lr=1e-2),
            clip_grad=dict(max_norm=5.0),
            accumulative_counts=1,
        ),
        "param_scheduler": [dict(type="CosineAnnealingLR", T_max=20, by_epoch=False)],
        "default_hooks": dict(
            logger=dict(type="LoggerHook", interval=1),
            checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2),
        ),
        "randomness": dict(seed=3),
        "log_level": "WARNING",
        **changes,
    }


EPOCHS = dict(
    loop=dict(type="mmswinv2.ResumableEpochLoop", max_epochs=3), sampler=dict(type="mmswinv2.ResumableSampler")
)
ITERATIONS = dict(
    loop=dict(type="mmswinv2.ResumableIterLoop", max_iters=15),
    sampler=dict(type="mmswinv2.ResumableSampler", infinite=True),
)
