"""Pictures of predictions beside the ground truth."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from pycocotools.coco import COCO

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SCORE_THRESHOLD = 0.5
CLASS_COLOURS = {1: (0.0, 0.75, 1.0), 2: (1.0, 0.8, 0.0)}  # by category id: fluorescence, histology


def choose_images(ann_file: Path, per_class: int) -> list[dict]:
    """The first ``per_class`` images of every class by file name: not the best ones."""
    coco = json.loads(ann_file.read_text())
    images = {image["id"]: image for image in sorted(coco["images"], key=lambda image: image["file_name"])}
    chosen = []
    for category in coco["categories"]:
        ids = {ann["image_id"] for ann in coco["annotations"] if ann["category_id"] == category["id"]}
        chosen += [image for image_id, image in images.items() if image_id in ids][:per_class]
    return chosen


def draw_detections(ann_file: Path, image_dir: Path, segm_results: Path, output: Path, per_class: int = 3) -> None:
    """Outlines of true and predicted instances, coloured by class."""
    truth = COCO(str(ann_file))
    predictions = truth.loadRes(str(segm_results))
    rows = []
    for image in choose_images(ann_file, per_class):
        pixels = read_rgb(image_dir / image["file_name"])
        true = truth.loadAnns(truth.getAnnIds(image["id"]))
        found = [
            ann for ann in predictions.loadAnns(predictions.getAnnIds(image["id"])) if ann["score"] >= SCORE_THRESHOLD
        ]
        rows.append(
            [
                (image["file_name"], pixels),
                (f"ground truth: {len(true)}", outline(pixels, true, truth)),
                (f"prediction, score ≥ {SCORE_THRESHOLD}: {len(found)}", outline(pixels, found, predictions)),
            ]
        )
    save_grid(rows, output)


def outline(pixels: np.ndarray, annotations: Sequence[dict], coco: COCO) -> np.ndarray:
    """Image (H, W, 3) in [0, 1] with the contour of each annotation's mask."""
    scale = 3  # thin lines on small images
    canvas = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    for annotation in annotations:
        mask = cv2.resize(coco.annToMask(annotation), canvas.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, contours, -1, CLASS_COLOURS[annotation["category_id"]], thickness=2)
    return canvas


def draw_segmentations(
    ann_file: Path, image_dir: Path, truth_dir: Path, prediction_dir: Path, output: Path, per_class: int = 3
) -> None:
    """True and predicted label maps over the images, coloured by class."""
    rows = []
    for image in choose_images(ann_file, per_class):
        file = Path(image["file_name"])
        pixels = read_rgb(image_dir / file)
        truth, prediction = (
            cv2.imread(str(folder / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED) for folder in (truth_dir, prediction_dir)
        )
        agree = (truth == prediction).mean()
        rows.append(
            [
                (file.name, pixels),
                ("ground truth", tint(pixels, truth)),
                (f"prediction, {agree:.1%} of pixels right", tint(pixels, prediction)),
            ]
        )
    save_grid(rows, output)


def tint(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Image (H, W, 3) in [0, 1] with every class but the background (label 1) tinted."""
    tinted = pixels.copy()
    for category, colour in CLASS_COLOURS.items():
        region = labels == category + 1
        tinted[region] = 0.4 * tinted[region] + 0.6 * np.array(colour)
    return tinted


def read_rgb(file: Path) -> np.ndarray:
    """RGB image (H, W, 3), float32 in [0, 1]."""
    return cv2.imread(str(file))[:, :, ::-1].astype(np.float32) / 255


def save_grid(rows: Sequence[Sequence[tuple[str, np.ndarray]]], output: Path) -> None:
    """Writes titled pictures as a grid, one row an image."""
    figure, axes = plt.subplots(len(rows), len(rows[0]), figsize=(3.6 * len(rows[0]), 3.7 * len(rows)), squeeze=False)
    for row, pictures in zip(axes, rows, strict=True):
        for axis, (title, picture) in zip(row, pictures, strict=True):
            axis.imshow(picture)
            axis.set_title(title, fontsize=9)
            axis.axis("off")
    figure.tight_layout()
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)
    plt.close(figure)
