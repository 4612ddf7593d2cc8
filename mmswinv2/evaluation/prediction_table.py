"""What a classifier says of each image, as a table."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..registry import METRICS

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
