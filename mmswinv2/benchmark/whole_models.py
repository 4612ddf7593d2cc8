"""Mask R-CNN and UPerNet as this project's recipes have them, with the backbone of a contender.

Images are noise, boxes and label maps are random: times do not depend on what is on an image. Mask R-CNN keeps its 100
best boxes however low their scores are, as many as on a crowded photograph, so that the mask head has its full work.
"""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from .cases import Case
from .steps import Step, autocast

CONFIGS = {
    "mask_rcnn": "mmswinv2::mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py",
    "upernet": "mmswinv2::upernet/upernet_swinv2-t-w8_8xb2-160k_ade20k-512x512.py",
}
OBJECTS = 10  # in an image; COCO has 7 on average


def make_whole_step(case: Case, backbone: nn.Module, compiled: bool) -> Step:
    """Builds a whole model around a backbone, and its step.

    Compiled is the backbone alone: heads whose shapes depend on what they find are the same for all.
    """
    assert case.whole_model is not None
    cfg = get_config(CONFIGS[case.whole_model])
    init_default_scope(cfg.default_scope)
    _fit(cfg, case)
    torch.manual_seed(case.seed)  # of the heads
    model = MODELS.build(cfg.model)
    model.backbone = torch.compile(backbone) if compiled else backbone
    model.to(case.device).train(case.trains)
    make_sample = _detection_sample if case.whole_model == "mask_rcnn" else _segmentation_sample
    generator = torch.Generator().manual_seed(case.seed)
    images = [torch.randint(256, (3, *case.size), dtype=torch.uint8, generator=generator) for _ in range(case.batch)]
    samples = [make_sample(case, cfg, generator) for _ in images]
    data = model.data_preprocessor({"inputs": images, "data_samples": samples}, training=case.trains)
    return Step(_step(model, data, case), model, model.backbone, data["inputs"])


def _fit(cfg: Config, case: Case) -> None:
    """Sets what depends on the size of backbone and images."""
    model, dims = cfg.model, case.arch.stage_dims
    model.backbone = {"type": "mmswinv2.SwinTransformerV2", "arch": case.arch._asdict()}  # a contender's replaces it
    if case.whole_model == "mask_rcnn":
        model.neck.in_channels = list(dims)
        model.test_cfg.rcnn.score_thr = 0.0
    else:
        model.data_preprocessor.size = case.size
        model.decode_head.in_channels = list(dims)
        model.auxiliary_head.in_channels = dims[2]


def _step(model: Any, data: dict[str, Any], case: Case) -> Callable[[], object]:
    def inference() -> None:
        with torch.no_grad(), autocast(case):
            model(**data, mode="predict")

    def training() -> None:
        model.zero_grad(set_to_none=True)
        with autocast(case):
            losses = model(**data, mode="loss")
        model.parse_losses(losses)[0].backward()

    return training if case.trains else inference


def _detection_sample(case: Case, cfg: Config, generator: torch.Generator) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    height, width = case.size
    sample = DetDataSample(metainfo={"img_shape": case.size, "ori_shape": case.size, "scale_factor": (1.0, 1.0)})
    boxes = _random_boxes(height, width, generator)
    masks = torch.zeros(OBJECTS, height, width, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.long().tolist(), strict=True):
        mask[top:bottom, left:right] = 1
    labels = torch.randint(cfg.model.roi_head.bbox_head.num_classes, (OBJECTS,), generator=generator)
    sample.gt_instances = InstanceData(
        bboxes=boxes, labels=labels, masks=BitmapMasks(list(masks.numpy()), height, width)
    )
    return sample


def _random_boxes(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Boxes (objects, 4) as left, top, right, bottom, with sides of an eighth to a half of the image."""
    whole = torch.tensor([width, height])
    sides = whole * (0.125 + 0.375 * torch.rand(OBJECTS, 2, generator=generator))
    corners = (whole - sides) * torch.rand(OBJECTS, 2, generator=generator)
    return torch.cat([corners, corners + sides], dim=1)


def _segmentation_sample(case: Case, cfg: Config, generator: torch.Generator) -> Any:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    labels = torch.randint(cfg.model.decode_head.num_classes, (1, *case.size), generator=generator)
    sample = SegDataSample(metainfo={"img_shape": case.size, "ori_shape": case.size})
    sample.gt_sem_seg = PixelData(data=labels)
    return sample
