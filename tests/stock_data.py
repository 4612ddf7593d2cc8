"""Batches of the repository's real images, through the loading of MMDetection and MMSegmentation."""

from pathlib import Path

import mmcv
import numpy as np
from mmdet.datasets import CocoDataset
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import DefaultScope
from mmseg.datasets import BaseSegDataset

from .stock_models import INPUT_SIZE
from .support import ROOT

NUCLEI = ROOT / "demo/nuclei"
IMAGES = [3, 26]  # 256 x 320 px, 7 nuclei, and 360 x 360 px, 20 nuclei: of unequal shape once resized
LOAD = {"type": "LoadImageFromFile"}
RESIZE = {"type": "Resize", "scale": INPUT_SIZE[::-1], "keep_ratio": True}
DETECTION_CLASSES = ("fluorescence-nucleus", "histology-nucleus")
# Label maps hold 0 unlabelled, 1 background, 2 and 3 nuclei; COCO's panoptic labels are things 0 to 79, then stuff.
PANOPTIC_LABELS = np.array([255, 80, 0, 1], dtype=np.uint8)


def detection_batch(label_maps: Path = NUCLEI / "semantic/train") -> dict:
    """Two images with boxes, masks and label maps, as MMDetection's dataloader gives them."""
    annotations = {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True, "with_seg": True}
    with DefaultScope.overwrite_default_scope("mmdet"):
        return _collate(
            CocoDataset(
                data_root=str(NUCLEI),
                ann_file="annotations/instances_train.json",
                data_prefix={"img": "train/", "seg": str(label_maps)},
                metainfo={"classes": DETECTION_CLASSES},
                pipeline=[LOAD, annotations, RESIZE, {"type": "PackDetInputs"}],
                indices=IMAGES,
            )
        )


def panoptic_batch(folder: Path) -> dict:
    """The same, background as stuff: label maps of COCO's panoptic labels, written to ``folder``."""
    for path in (NUCLEI / "semantic/train").glob("*.png"):
        mmcv.imwrite(PANOPTIC_LABELS[mmcv.imread(path, "unchanged")], str(folder / path.name))
    return detection_batch(folder)


def segmentation_batch() -> dict:
    """The same two images with label maps, as MMSegmentation's dataloader gives them."""
    with DefaultScope.overwrite_default_scope("mmseg"):
        return _collate(
            BaseSegDataset(
                data_root=str(NUCLEI),
                data_prefix={"img_path": "train", "seg_map_path": "semantic/train"},
                metainfo={"classes": (NUCLEI / "semantic/classes.txt").read_text().split()},
                pipeline=[LOAD, {"type": "LoadAnnotations"}, RESIZE, {"type": "PackSegInputs"}],
                indices=IMAGES,
            )
        )


def _collate(dataset: BaseDataset) -> dict:
    return pseudo_collate([dataset[index] for index in range(len(dataset))])
