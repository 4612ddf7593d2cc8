"""Metrics of classification and SimMIM."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from .errors import ConfigError, DataError
from .registry import METRICS


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Top-k accuracy in percent, as ``accuracy/top1`` and so on.

    A k that is not below the number of classes is left out, because every image would count.

    Args:
        topk: The values of k, each at least 1.
        options: MMEngine's, such as ``prefix``.

    Raises:
        ConfigError: ``topk`` is empty, or one of its values is no positive integer.
    """

    default_prefix = "accuracy"

    def __init__(self, topk: Sequence[int] = (1, 5), **options: Any) -> None:
        super().__init__(**options)
        if not topk or any(type(k) is not int or k < 1 for k in topk):
            raise ConfigError(f"topk must be positive integers, at least one, got {topk!r}")
        self.topk = tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes predictions of :class:`ImageClassifier`.

        Raises:
            DataError: The data has no labels.
        """
        if any("gt_label" not in sample for sample in data_samples):
            raise DataError("Accuracy needs labelled data: the batch has no label")
        for sample in data_samples:
            self.results.append((rank(sample["pred_score"], sample["gt_label"]), len(sample["pred_score"])))

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, float]:
        """Returns percentages of the images, from pairs of (rank of the true class, number of classes)."""
        classes = results[0][1]
        return {
            f"top{k}": 100 * sum(position < k for position, _ in results) / len(results)
            for k in self.topk
            if k < classes
        }


def rank(scores: Tensor, label: int) -> int:
    """Returns the place of a class, 0 for the best, when all are sorted by their scores (classes,).

    Of equal scores the first comes first. NaN comes last.
    """
    not_behind = ~(scores < scores[label])
    return int(not_behind.sum() - (scores[label:] == scores[label]).sum())


COLUMNS = ("image", "label", "predicted", "score")


@METRICS.register_module()
class PredictionTable(BaseMetric):
    """Writes a CSV file: path of each image, its label where it has one, the predicted class and its probability.

    Classes are written by name where the data set names them.

    Args:
        out_file: The file.
        options: MMEngine's.
    """

    default_prefix = "predictions"

    def __init__(self, out_file: str, **options: Any) -> None:
        super().__init__(**options)
        self.out_file = out_file

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes predictions of :class:`ImageClassifier`."""
        for sample in data_samples:
            predicted = sample["pred_label"]
            score = float(sample["pred_score"][predicted])
            self.results.append((sample.get("img_path"), sample.get("gt_label"), predicted, score))

    def compute_metrics(self, results: list[tuple[str | None, int | None, int, float]]) -> dict:
        """Writes the file; there is nothing to report."""
        Path(self.out_file).parent.mkdir(parents=True, exist_ok=True)
        with open(self.out_file, "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for path, label, predicted, score in results:
                table.writerow((path, self._name(label), self._name(predicted), f"{score:.6f}"))
        print_log(f"{len(results)} predictions are in {self.out_file}", logger="current")
        return {}

    def _name(self, label: int | None) -> str | int | None:
        classes = (self.dataset_meta or {}).get("classes")
        return classes[label] if classes and label is not None else label


@METRICS.register_module()
class ReconstructionError(BaseMetric):
    """Mean of the images' losses, as ``reconstruction/l1``.

    It is not called ``loss``. Of a value with this in its name, MMEngine logs the mean over the last evaluations. But
    ``save_best='reconstruction/l1'`` needs ``rule='less'`` beside it.

    Evaluations are comparable if their masks are the same. Masks are drawn by the sampler's seed, so give the data
    loader a :class:`ResumableSampler` with ``shuffle=False`` and a ``seed``.

    Args:
        options: MMEngine's, such as ``prefix``.
    """

    default_prefix = "reconstruction"

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes predictions of :class:`SimMIM`."""
        self.results.extend(sample["loss"] for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Returns the mean."""
        return {"l1": sum(results) / len(results)}
