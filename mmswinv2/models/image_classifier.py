"""Image classification with SwinV2: the pretraining and fine-tuning of the paper's section 4.2."""

from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """Backbone, average over the last map, one linear layer, as the official classifier.

    Args:
        backbone: Config of a :class:`SwinTransformerV2`; its ``out_indices`` is the last stage alone.
        num_classes: Classes, at least 1.
        label_smoothing: Share of a hard label spread over all classes, in [0, 1). Mixup smooths the labels
            that it mixes by itself.
        data_preprocessor: MMEngine's, or :class:`MixupPreprocessor`; images arrive normalised.
        init_cfg: MMEngine's.

    Raises:
        ValueError: A value outside what is said above.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        num_classes: int,
        label_smoothing: float = 0.0,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if type(num_classes) is not int or num_classes < 1:
            raise ValueError(f"num_classes must be a positive integer, got {num_classes!r}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing!r}")
        self.backbone = MODELS.build(backbone)
        last = len(self.backbone.arch.depths) - 1
        if self.backbone.out_indices != (last,):
            raise ValueError(
                f"the classifier reads the last stage alone: set backbone.out_indices=({last},), "
                f"got {self.backbone.out_indices}"
            )
        mixed = getattr(self.data_preprocessor, "num_classes", num_classes)
        if mixed != num_classes:
            raise ValueError(f"data_preprocessor.num_classes is {mixed}, but the model's num_classes {num_classes}")
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
        """
        (features,) = self.backbone(inputs)
        logits = self.head(features.mean(dim=(2, 3)))
        if mode == "tensor":
            return logits
        if mode == "loss":
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
