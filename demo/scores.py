"""Scores of prediction files, overall and per class, by pycocotools and MMSegmentation's metric."""

import contextlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from mmseg.evaluation import IoUMetric
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Scores = dict[str, dict[str, float]]  # {class, or "all": {metric: value in [0, 1]}}
IGNORED = 255
DETECTIONS = 300  # that count in an image, and that the config keeps


def detection_scores(ann_file: Path, results_prefix: Path) -> Scores:
    """COCO AP of boxes and masks at up to 300 detections an image; some have more nuclei than COCO's own 100.

    Args:
        ann_file: COCO annotations.
        results_prefix: COCO results, ``<prefix>.bbox.json`` and ``<prefix>.segm.json``, as CocoMetric's
            ``outfile_prefix`` makes them.

    Returns:
        ``box AP``, ``box AP50``, ``mask AP`` and ``mask AP50`` overall and of each class.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints progress and a summary
        truth = COCO(str(ann_file))
        precisions = {kind: _precision(truth, Path(f"{results_prefix}.{kind}.json"), kind) for kind in ("bbox", "segm")}
    names = [category["name"] for category in truth.loadCats(truth.getCatIds())]
    scores: Scores = {}
    for index, name in [(slice(None), "all"), *enumerate(names)]:
        scores[name] = {}
        for kind, title in (("bbox", "box"), ("segm", "mask")):
            scores[name][f"{title} AP"] = _mean(precisions[kind][:, :, index])
            scores[name][f"{title} AP50"] = _mean(precisions[kind][:1, :, index])
    return scores


def _precision(truth: COCO, results: Path, kind: str) -> np.ndarray:
    """Precision (10 IoU thresholds from 0.5, 101 recalls, classes), -1 where a class has no objects."""
    if not json.loads(results.read_text()):  # pycocotools refuses an empty list
        return np.zeros((10, 101, len(truth.getCatIds())))
    evaluation = COCOeval(truth, truth.loadRes(str(results)), kind)
    evaluation.params.maxDets = [1, 100, DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, -1]  # all areas, all detections


def _mean(precision: np.ndarray) -> float:
    return float(precision[precision > -1].mean())


def segmentation_scores(truth_dir: Path, prediction_dir: Path, classes: list[str]) -> Scores:
    """IoU of label maps.

    Args:
        truth_dir: PNG label maps, 0 unlabelled, 1 the first class.
        prediction_dir: PNG files of the same names and labels, as IoUMetric's ``output_dir`` makes them.
        classes: Names of the classes 1, 2, ...

    Returns:
        ``IoU`` of each class, of "all" the mean (mIoU).
    """
    files = sorted(truth_dir.glob("*.png"))
    areas = []
    for file in files:
        prediction, label = (_read_labels(folder / file.name) for folder in (prediction_dir, truth_dir))
        areas.append(IoUMetric.intersect_and_union(prediction, label, len(classes), IGNORED))
    totals = (sum(parts) for parts in zip(*areas, strict=True))
    iou = IoUMetric.total_area_to_metrics(*totals, metrics=["mIoU"])["IoU"]
    return {"all": {"IoU": float(np.nanmean(iou))}} | {
        name: {"IoU": float(value)} for name, value in zip(classes, iou, strict=True)
    }


def _read_labels(file: Path) -> torch.Tensor:
    """Label map (H, W) with the first class at 0 and unlabelled pixels at 255."""
    labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if labels is None:
        raise FileNotFoundError(f"{file} is missing or no image")
    return torch.from_numpy(labels - np.uint8(1))  # 0 wraps round to 255
