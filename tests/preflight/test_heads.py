"""Heads and data must agree on the number of classes."""

from pathlib import Path

import mmdet
import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmswinv2.errors import ConfigError
from mmswinv2.preflight.config import dataset_class
from mmswinv2.preflight.heads import check_class_counts


def stock(package: object, path: str) -> Config:
    """A stock config of MMDetection or MMSegmentation."""
    return Config.fromfile(Path(package.__file__).parent / ".mim/configs" / path)


def built_model(cfg: Config) -> torch.nn.Module:
    """A model without memory for its weights."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device("meta"):
        return MODELS.build(cfg.model)


STOCK = {
    "faster-rcnn": (mmdet, "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "model.roi_head.bbox_head.num_classes"),
    "cascade": (
        mmdet,
        "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py",
        r"model.roi_head.bbox_head.2.num_classes is 80(?s:.*)model.roi_head.mask_head.0.num_classes is 80",
    ),
    "htc": (mmdet, "htc/htc_r50_fpn_1x_coco.py", "model.roi_head.mask_head.2.num_classes"),
    "retinanet": (mmdet, "retinanet/retinanet_r50_fpn_1x_coco.py", "model.bbox_head.num_classes"),
    "deformable-detr": (mmdet, "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py", "model.bbox_head.num_classes"),
    "mask2former": (
        mmdet,
        "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py",
        r"model.panoptic_head.num_things_classes \+ num_stuff_classes",
    ),
    "panoptic-fpn": (mmdet, "panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py", "model.roi_head.bbox_head.num_classes"),
    "mask2former-panoptic": (
        mmdet,
        "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py",
        r"model.panoptic_head.num_things_classes \+ num_stuff_classes",
    ),
    "upernet": (
        mmseg,
        "upernet/upernet_r50_4xb4-160k_ade20k-512x512.py",
        r"model.decode_head.num_classes is 150(?s:.*)model.auxiliary_head.num_classes is 150",
    ),
    "mask2former-semantic": (
        mmseg,
        "mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py",
        "model.decode_head.num_classes",
    ),
}


@pytest.mark.parametrize("name", STOCK)
def test_class_counts_of_heads_must_be_those_of_the_data(name: str) -> None:
    """Stock configs pass with their own data, RPN and stuff heads included; with other data their keys are named."""
    package, path, keys = STOCK[name]
    cfg = stock(package, path)
    model = built_model(cfg)
    metainfo = dataset_class(cfg.train_dataloader.dataset, cfg.default_scope).METAINFO
    check_class_counts(model, metainfo, "train_dataloader.dataset")
    with pytest.raises(ConfigError, match=rf"train_dataloader\.dataset disagree(?s:.*){keys}(?s:.*)the data has 2"):
        check_class_counts(model, dict(classes=("cat", "dog")), "train_dataloader.dataset")


def test_region_proposals_have_one_class_by_design() -> None:
    """The detector RPN, whose head tells objects from background only, passes on COCO's 80 classes."""
    cfg = stock(mmdet, "rpn/rpn_r50_fpn_1x_coco.py")
    check_class_counts(built_model(cfg), dict(classes=tuple(map(str, range(80)))), "train_dataloader.dataset")


def test_a_single_class_without_its_comma_is_explained(detection: Config) -> None:
    """classes=('cat') is a string of three letters."""
    with pytest.raises(ConfigError, match=r"write classes=\('cat',\)"):
        check_class_counts(built_model(detection), dict(classes="cat"), "train_dataloader.dataset")
