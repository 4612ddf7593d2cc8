"""How often the true class is among the first k."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..registry import METRICS


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Top-k accuracy in percent, as ``accuracy/top1`` and so on.

    A k that is not below the number of classes is left out: every image would count.

    Args:
        topk: The values of k, each at least 1.
        options: MMEngine's, such as ``prefix``.

    Raises:
        ValueError: Another value of k.
    """

    default_prefix = "accuracy"

    def __init__(self, topk: Sequence[int] = (1, 5), **options: Any) -> None:
        super().__init__(**options)
        if not topk or any(type(k) is not int or k < 1 for k in topk):
            raise ValueError(f"topk must be positive integers, at least one, got {topk!r}")
        self.topk = tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes predictions of :class:`ImageClassifier`.

        Raises:
            ValueError: The data has no labels.
        """
        if any("gt_label" not in sample for sample in data_samples):
            raise ValueError("Accuracy needs labelled data: the batch has no label")
        for sample in data_samples:
            self.results.append((rank(sample["pred_score"], sample["gt_label"]), len(sample["pred_score"])))

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, float]:
        """Shares of the images, in percent, from pairs of (rank of the true class, number of classes)."""
        classes = results[0][1]
        return {
            f"top{k}": 100 * sum(position < k for position, _ in results) / len(results)
            for k in self.topk
            if k < classes
        }


def rank(scores: Tensor, label: int) -> int:
    """Place of a class, from 0, among all by score; of equal ones the first comes first, and NaN comes last."""
    not_behind = ~(scores < scores[label])
    return int(not_behind.sum() - (scores[label:] == scores[label]).sum())
