"""Made-up batches for each kind of model, of random images and objects."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..layers.windows import Pair
from ..models import ImageClassifier, SimMIM

OBJECTS = 128  # of an image: as many as a detector samples at most, so that a sample is always full
LEAST_SIDE = 16  # pixels of an object


def made_up_batch(model: nn.Module, number: int, size: Pair) -> dict[str, Any]:
    """Returns what ``model(**batch, mode="loss")`` takes, after the data preprocessor.

    Args:
        model: A detector, a segmentor, a classifier or SimMIM.
        number: Images.
        size: Height and width of an image in pixels.

    Raises:
        ConfigError: The model is of another kind.
    """
    from mmdet.models import BaseDetector
    from mmseg.models import BaseSegmentor

    torch.manual_seed(0)
    inputs = torch.randn(number, 3, *size)
    if isinstance(model, SimMIM):
        patch = model.backbone.patch_size
        return {"inputs": inputs, "mask": torch.rand(number, size[0] // patch, size[1] // patch) < 0.6}
    if isinstance(model, ImageClassifier):
        return {"inputs": inputs, "label": torch.full((number, model.num_classes), 1 / model.num_classes)}
    if isinstance(model, BaseDetector):
        return {"inputs": inputs, "data_samples": [detection_sample(size) for _ in range(number)]}
    if isinstance(model, BaseSegmentor):
        return {"inputs": inputs, "data_samples": [segmentation_sample(size) for _ in range(number)]}
    raise ConfigError(
        f"plan knows detectors, segmentors, mmswinv2.ImageClassifier and mmswinv2.SimMIM, the config's model is a "
        f"{type(model).__name__}"
    )


def detection_sample(size: Pair) -> Any:
    """Objects of one image: boxes with masks, and a label map."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData, PixelData

    boxes = random_boxes(size)
    masks = np.zeros((OBJECTS, *size), dtype=np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
        mask[top:bottom, left:right] = 1
    sample = DetDataSample(metainfo=shapes(size))
    labels = torch.zeros(OBJECTS, dtype=torch.long)
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels, masks=BitmapMasks(masks, *size))
    sample.ignored_instances = InstanceData(bboxes=boxes[:0], labels=labels[:0])
    sample.gt_sem_seg = PixelData(sem_seg=torch.zeros(1, *size, dtype=torch.long))
    return sample


def random_boxes(size: Pair) -> Tensor:
    """Boxes of an image in pixels (left, top, right, bottom), from :data:`LEAST_SIDE` to half of its shorter side."""
    shape = torch.tensor([size[1], size[0]])  # width, height
    most = int(shape.min()) / 2 / LEAST_SIDE
    sides = LEAST_SIDE * most ** torch.rand(OBJECTS, 2)  # as many small as large ones
    corner = torch.rand(OBJECTS, 2) * (shape - sides)
    return torch.cat([corner, corner + sides], dim=1)


def segmentation_sample(size: Pair) -> Any:
    """The label map of one image."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    sample = SegDataSample(metainfo=shapes(size))
    sample.gt_sem_seg = PixelData(data=torch.zeros(1, *size, dtype=torch.long))
    return sample


def shapes(size: Pair) -> dict[str, Any]:
    """What a pipeline notes of an image that it neither resized nor padded."""
    return {
        **dict.fromkeys(("ori_shape", "img_shape", "pad_shape", "batch_input_shape"), size),
        "scale_factor": (1.0, 1.0),
    }
