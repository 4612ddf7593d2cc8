"""The CSV file of a classifier's predictions: a row for each image, with its label where it has one."""

import csv
from pathlib import Path

import pytest
import torch
from mmengine.registry import METRICS

SAMPLE = {"img_path": "a, b.jpg", "gt_label": 0, "pred_label": 1, "pred_score": torch.tensor([0.25, 0.75])}


def table(out: Path, samples: list[dict], metainfo: dict | None) -> list[dict]:
    metric = METRICS.build(dict(type="mmswinv2.PredictionTable", out_file=str(out)))
    metric.dataset_meta = metainfo
    metric.process({}, samples)
    assert metric.evaluate(len(samples)) == {}
    with open(out, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("metainfo", "names"), [({"classes": ("rose", "tulip")}, ("rose", "tulip")), ({}, ("0", "1")), (None, ("0", "1"))]
)
def test_each_image_has_its_row(metainfo: dict | None, names: tuple[str, str], tmp_path: Path) -> None:
    """Classes by name where the data set has names; the folder is made, a comma in a path does no harm."""
    (row,) = table(tmp_path / "new/out.csv", [SAMPLE], metainfo)
    assert row == {"image": "a, b.jpg", "label": names[0], "predicted": names[1], "score": "0.750000"}


def test_unlabelled_images_have_an_empty_label(tmp_path: Path) -> None:
    sample = {name: value for name, value in SAMPLE.items() if name != "gt_label"}
    (row,) = table(tmp_path / "out.csv", [sample], {"classes": ("rose", "tulip")})
    assert row["label"] == "" and row["predicted"] == "tulip"
