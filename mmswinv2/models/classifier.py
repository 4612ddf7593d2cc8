"""Image classification with SwinV2: the pretraining and fine-tuning of the paper's section 4.2."""

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from ..arch import check_rate
from ..errors import ConfigError, DataError
from ..registry import MODELS
from .backbone import build_for_last_stage


@MODELS.register_module()
class MixupPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device and, in training, mixes its images and labels by timm's ``Mixup``.

    Args:
        num_classes: Classes of the data.
        mixup_alpha: Parameter of the Beta distribution of Mixup's shares; 0: no Mixup.
        cutmix_alpha: The same for CutMix.
        label_smoothing: Share of a label that is spread over all classes.
        non_blocking: MMEngine's.

    Raises:
        ConfigError: There is neither Mixup nor CutMix.
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
            raise ConfigError("MixupPreprocessor mixes nothing with mixup_alpha=0 and cutmix_alpha=0: leave it out")
        self.num_classes = num_classes
        self.mixup = Mixup(
            mixup_alpha=mixup_alpha, cutmix_alpha=cutmix_alpha, label_smoothing=label_smoothing, num_classes=num_classes
        )

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Moves a batch and, in training, puts mixed ``inputs`` (B, C, H, W) and ``label`` (B, num_classes) into it.

        Raises:
            ConfigError: The batch has an odd number of images, and timm mixes them in pairs.
        """
        data = self.cast_data(data)
        if not training:
            return data
        if len(data["inputs"]) % 2:
            raise ConfigError(
                f"Mixup mixes pairs and got a batch of {len(data['inputs'])} images: set an even batch_size and "
                "drop_last=True in train_dataloader"
            )
        inputs, label = self.mixup(data["inputs"], torch.as_tensor(data["label"]))
        return {**data, "inputs": inputs, "label": label}


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """Classifies images as the official release does: backbone, mean over the last map, one linear layer.

    Args:
        backbone: Config of a :class:`SwinTransformerV2`; its ``out_indices`` is the last stage alone.
        num_classes: Classes, at least 1.
        label_smoothing: Share of a hard label that is spread over all classes, in [0, 1). Mixup itself smooths the
            labels that it mixes.
        data_preprocessor: MMEngine's, or :class:`MixupPreprocessor`; images arrive normalised.
        init_cfg: MMEngine's.

    Raises:
        ConfigError: A value is not among those above.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        num_classes: int,
        label_smoothing: float = 0.0,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if type(num_classes) is not int or num_classes < 1:
            raise ConfigError(f"num_classes must be a positive integer, got {num_classes!r}")
        check_rate("label_smoothing", label_smoothing)
        self.backbone = build_for_last_stage(backbone, "ImageClassifier")
        mixed = getattr(self.data_preprocessor, "num_classes", num_classes)
        if mixed != num_classes:
            raise ConfigError(f"data_preprocessor.num_classes is {mixed}, but the model's num_classes {num_classes}")
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.head = nn.Linear(self.backbone.arch.stage_dims[-1], num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor, label: Tensor | None = None, mode: str = "tensor", **info: Any) -> Any:
        """Classifies images.

        Args:
            inputs: Normalised images (B, C, H, W).
            label: Class indices (B,), or after Mixup shares of the classes (B, num_classes).
            mode: ``tensor``, ``loss`` or ``predict``.
            info: What else the data says of the images; ``img_path``, a list, goes into predictions.

        Returns:
            ``tensor``: logits (B, num_classes). ``loss``: a dict with ``loss``. ``predict``: for every image
            a dict with ``pred_score`` (num_classes,), probabilities, ``pred_label``, and if they are given
            ``gt_label`` and ``img_path``.

        Raises:
            DataError: ``loss`` without labels.
        """
        (features,) = self.backbone(inputs)
        logits = self.head(features.mean(dim=(2, 3)))
        if mode == "tensor":
            return logits
        if mode == "loss":
            if label is None:
                raise DataError(
                    "ImageClassifier learns from labels, the batch has none: set with_label=True in the data set"
                )
            smoothing = self.label_smoothing if label.dim() == 1 else 0.0
            return {"loss": F.cross_entropy(logits.float(), label, label_smoothing=smoothing)}
        return self._predictions(logits.float().softmax(dim=1), label, info.get("img_path"))

    @staticmethod
    def _predictions(scores: Tensor, label: Tensor | None, paths: list[str] | None) -> list[dict[str, Any]]:
        # Cloned: a row of the batch would take the whole batch with it wherever it is pickled.
        columns = {"pred_score": [row.clone() for row in scores.cpu()], "pred_label": scores.argmax(dim=1).tolist()}
        if label is not None:
            columns["gt_label"] = label.tolist()
        if paths is not None:
            columns["img_path"] = paths
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
