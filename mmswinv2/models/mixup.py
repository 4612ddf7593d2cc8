"""Mixup and CutMix on batches, as timm has them."""

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor

from ..registry import MODELS


@MODELS.register_module()
class MixupPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device and, in training, mixes its images and labels by timm's ``Mixup``.

    Args:
        num_classes: Classes of the data.
        mixup_alpha: Parameter of the Beta distribution of Mixup's shares; 0: no Mixup.
        cutmix_alpha: The same of CutMix.
        label_smoothing: Share of a label spread over all classes.
        non_blocking: MMEngine's.

    Raises:
        ValueError: Neither Mixup nor CutMix.
    """

    def __init__(
        self,
        num_classes: int,
        mixup_alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
        label_smoothing: float = 0.1,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        from timm.data import Mixup  # slow to import, and only those who mix need it

        if not mixup_alpha > 0 and not cutmix_alpha > 0:
            raise ValueError("MixupPreprocessor mixes nothing with mixup_alpha=0 and cutmix_alpha=0: leave it out")
        self.num_classes = num_classes
        self.mixup = Mixup(
            mixup_alpha=mixup_alpha, cutmix_alpha=cutmix_alpha, label_smoothing=label_smoothing, num_classes=num_classes
        )

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Adds to a batch what :class:`ImageClassifier` takes: mixed ``inputs`` (B, C, H, W), ``label`` (B, classes).

        Raises:
            ValueError: A batch of an odd number of images, which timm mixes in pairs.
        """
        data = self.cast_data(data)
        if not training:
            return data
        if len(data["inputs"]) % 2:
            raise ValueError(
                f"Mixup mixes pairs and got a batch of {len(data['inputs'])} images: set an even batch_size and "
                "drop_last=True in train_dataloader"
            )
        inputs, label = self.mixup(data["inputs"], torch.as_tensor(data["label"]))
        return {**data, "inputs": inputs, "label": label}
