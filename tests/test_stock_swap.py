"""In any stock config another backbone, and the channels it gives, is all it takes to train and predict."""

from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import mmdet
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine import Config
from mmengine.optim import build_optim_wrapper
from mmengine.utils import digit_version
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from .stock_data import detection_batch, panoptic_batch, segmentation_batch
from .stock_models import CHANNELS, SWAPPED, WIDTH, Swap, built_model, child_config, stock_config, swapped_config

NECK = {"neck": {"in_channels": CHANNELS}}
NECK_OF_THREE = {"neck": {"in_channels": CHANNELS[1:]}}
NECK_FROM_FIRST_OF_THREE = {"neck": {"in_channels": CHANNELS[1:], "start_level": 0}}
# MMSegmentation hands weights for its ResNet to whatever backbone there is; Swin V2 refuses the keyword.
NO_RESNET_WEIGHTS = {"pretrained": None}
NARROW_DETR_HEAD = {"model.bbox_head.embed_dims": WIDTH}

DETECTORS = {
    "faster-rcnn": Swap("mmdet", "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", NECK),
    "mask-rcnn": Swap("mmdet", "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", NECK),
    "mask-rcnn over swin v1": Swap("mmdet", "swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py", NECK),
    "cascade-mask-rcnn": Swap("mmdet", "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py", NECK),
    "htc": Swap("mmdet", "htc/htc_r50_fpn_1x_coco.py", NECK),
    "retinanet": Swap("mmdet", "retinanet/retinanet_r50_fpn_1x_coco.py", NECK, unread=(0,)),
    "retinanet over swin v1": Swap(
        "mmdet", "swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py", NECK_OF_THREE, out_indices=(1, 2, 3)
    ),
    "fcos": Swap(
        "mmdet", "fcos/fcos_r50-caffe_fpn_gn-head-center_1x_coco.py", NECK_FROM_FIRST_OF_THREE, out_indices=(1, 2, 3)
    ),
    "atss": Swap("mmdet", "atss/atss_r50_fpn_1x_coco.py", NECK, unread=(0,)),
    "deformable-detr": Swap(
        "mmdet",
        "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
        NECK_OF_THREE,
        out_indices=(1, 2, 3),
        sizes=NARROW_DETR_HEAD,
    ),
    "dino": Swap(
        "mmdet",
        "dino/dino-4scale_r50_8xb2-12e_coco.py",
        NECK_OF_THREE,
        out_indices=(1, 2, 3),
        sizes=NARROW_DETR_HEAD,
    ),
    "mask2former instance": Swap(
        "mmdet",
        "mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py",
        {"panoptic_head": {"in_channels": CHANNELS}},
    ),
}
PANOPTIC_MASK2FORMER = Swap(
    "mmdet",
    "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py",
    {"panoptic_head": {"in_channels": CHANNELS}},
)
SEGMENTORS = {
    "upernet": Swap(
        "mmseg",
        "upernet/upernet_r50_4xb4-80k_ade20k-512x512.py",
        {
            "decode_head": {"in_channels": CHANNELS},
            "auxiliary_head": {"in_channels": CHANNELS[2]},
            **NO_RESNET_WEIGHTS,
        },
    ),
    "upernet over swin v1": Swap(
        "mmseg",
        "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
        {"decode_head": {"in_channels": CHANNELS}, "auxiliary_head": {"in_channels": CHANNELS[2]}},
    ),
    "pspnet": Swap(
        "mmseg",
        "pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py",
        {
            "decode_head": {"in_channels": CHANNELS[3]},
            "auxiliary_head": {"in_channels": CHANNELS[2]},
            **NO_RESNET_WEIGHTS,
        },
        unread=(0, 1),
    ),
    "segformer": Swap(
        "mmseg",
        "segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py",
        {"decode_head": {"in_channels": CHANNELS}},
    ),
    "mask2former": Swap(
        "mmseg",
        "mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py",
        {"decode_head": {"in_channels": CHANNELS}},
    ),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_trains_and_predicts(name: str, tmp_path: Path) -> None:
    """One step on real boxes and masks reaches the whole backbone; predictions fit the images as they were."""
    if name == "dino" and digit_version(mmdet.__version__) < digit_version("3.4"):
        pytest.skip("MMDetection 3.3 builds its DINO 256 wide alone, the test a narrow one")
    swap = DETECTORS[name]
    config, batch = swapped_config(tmp_path, swap), detection_batch()
    with built_model(config) as model:
        train_one_step(model, config, batch, swap.unread)
        samples = predict(model, batch)
        with_mask = model.with_mask or hasattr(model, "panoptic_head")
    for sample in samples:
        check_instances(sample, with_mask)


def test_panoptic_mask2former_trains_and_predicts(tmp_path: Path) -> None:
    """The same for things and stuff together."""
    config, batch = swapped_config(tmp_path, PANOPTIC_MASK2FORMER), panoptic_batch(tmp_path)
    with built_model(config) as model:
        train_one_step(model, config, batch, PANOPTIC_MASK2FORMER.unread)
        samples = predict(model, batch)
    for sample in samples:
        assert sample.pred_panoptic_seg.sem_seg.shape == (1, *sample.ori_shape)


@pytest.mark.parametrize("swap", SEGMENTORS.values(), ids=SEGMENTORS)
def test_segmentor_trains_and_predicts(swap: Swap, tmp_path: Path) -> None:
    """One step on real label maps reaches the whole backbone; predictions fit the images as they were."""
    config, batch = swapped_config(tmp_path, swap), segmentation_batch()
    with built_model(config) as model:
        train_one_step(model, config, batch, swap.unread)
        samples = predict(model, batch)
    for sample in samples:
        check_label_map(sample, config.model.decode_head.num_classes)


def train_one_step(model: nn.Module, config: Config, batch: dict, unread: tuple[int, ...]) -> None:
    """Steps the stock optimizer once: the loss is finite, every parameter of the backbone has a gradient.

    Only the norms of ``unread`` outputs have none.
    """
    gradients: dict[str, Tensor] = {}
    for name, parameter in model.backbone.named_parameters():
        parameter.register_hook(partial(gradients.__setitem__, name))
    patches = model.backbone.patch_embed.proj.weight
    before = patches.detach().clone()
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)

    # A copy, because the data preprocessor writes its padding into the samples.
    losses = model.train().train_step(deepcopy(batch), optim_wrapper)

    assert losses["loss"] > 0
    assert all(value.isfinite().all() for value in losses.values()), losses
    trained = [name for name, parameter in model.backbone.named_parameters() if parameter.requires_grad]
    without_gradient = {name for name in trained if name not in gradients or not gradients[name].any()}
    assert without_gradient == {f"norm{stage}.{part}" for stage in unread for part in ("weight", "bias")}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert not torch.equal(patches, before)


def predict(model: nn.Module, batch: dict) -> list[Any]:
    """Predictions for each image by itself, as at test time."""
    model.eval()
    with torch.no_grad():
        return [
            model.test_step({"inputs": [image], "data_samples": [sample]})[0]
            for image, sample in zip(batch["inputs"], batch["data_samples"], strict=True)
        ]


def check_instances(sample: DetDataSample, with_mask: bool) -> None:
    """Boxes lie in the original image, scores are probabilities, masks have its shape."""
    found, (height, width) = sample.pred_instances, sample.ori_shape
    assert len(found) > 0
    assert found.scores.isfinite().all()
    assert found.scores.min() >= 0 and found.scores.max() <= 1
    limits = found.bboxes.new_tensor([width, height, width, height])
    assert (found.bboxes >= 0).all() and (found.bboxes <= limits + 1e-3).all()  # a box on the edge may round over it
    if with_mask:
        assert found.masks.shape == (len(found), height, width)


def check_label_map(sample: SegDataSample, num_classes: int) -> None:
    """A class for every pixel of the original image, from finite scores."""
    labels, scores = sample.pred_sem_seg.data, sample.seg_logits.data
    assert labels.shape == (1, *sample.ori_shape)
    assert scores.shape == (num_classes, *sample.ori_shape)
    assert scores.isfinite().all()
    assert labels.min() >= 0 and labels.max() < num_classes


@pytest.mark.parametrize(
    ("package", "stock"),
    [
        ("mmdet", "swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py"),
        ("mmseg", "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py"),
    ],
)
def test_keywords_left_from_swin_v1_are_explained(package: str, stock: str, tmp_path: Path) -> None:
    """Without _delete_, Swin V1's keywords reach the backbone: the error names each one's V2 form and the remedy."""
    backbone = {"type": SWAPPED["type"], "arch": "tiny"}
    config = Config.fromfile(child_config(tmp_path, stock_config(package, stock), backbone=backbone))
    with pytest.raises(TypeError) as caught, built_model(config):
        pass
    message = str(caught.value)
    for words in ("embed_dims: give arch=", "patch_norm: patches are always normalised", "_delete_=True"):
        assert words in message


def test_weights_that_a_stock_segmentor_gives_its_resnet_are_refused(tmp_path: Path) -> None:
    """MMSegmentation passes ``model.pretrained`` on to any backbone; a ResNet's file must not be taken in silence."""
    swap = SEGMENTORS["upernet"]
    channels = {name: change for name, change in swap.channels.items() if name not in NO_RESNET_WEIGHTS}
    config = swapped_config(tmp_path, swap._replace(channels=channels))
    with pytest.raises(TypeError, match=r"pretrained: .*init_cfg"), built_model(config):
        pass
