"""The mistakes that people make in a config, each with the sentence that they read."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mmengine.config import Config

from mmswinv2.errors import ConfigError
from mmswinv2.preflight import check_settings

from ..support import ROOT

BASES = {
    "det": "configs/mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py",
    "cascade": "configs/cascade_mask_rcnn/cascade-mask-rcnn_swinv2-t-w16_fpn_ms-3x_coco.py",
    "seg": "configs/upernet/upernet_swinv2-t-w8_8xb2-160k_ade20k-512x512.py",
    "cls": "configs/imagenet/swinv2-t-w8_8xb128-300e_in1k-256px.py",
    "simmim": "configs/simmim/simmim_swinv2-b-w12_16xb128-800e_in1k-192px.py",
    "tiny": "tests/cli/tiny_mask_rcnn.py",
}


class Mistake(NamedTuple):
    """A config that was changed in one place.

    Attributes:
        base: Key of :data:`BASES`.
        key: The key that is changed, dotted as for ``--cfg-options``.
        value: What it is set to; TAKEN_OUT: the key is taken out.
        sentence: What the user reads.
    """

    base: str
    key: str
    value: Any
    sentence: str


TAKEN_OUT = object()

UNKNOWN_KEYS = [
    Mistake(
        "det",
        "optim_wraper",
        dict(clip_grad=None),
        "optim_wraper: nothing reads this key; did you mean 'optim_wrapper'?",
    ),
    Mistake(
        "det",
        "train_dataloder",
        dict(batch_size=4),
        "train_dataloder: nothing reads this key; did you mean 'train_dataloader'?",
    ),
    Mistake(
        "seg", "defalt_hooks", dict(timer=None), "defalt_hooks: nothing reads this key; did you mean 'default_hooks'?"
    ),
    Mistake("seg", "param_schedular", [], "param_schedular: nothing reads this key; did you mean 'param_scheduler'?"),
    Mistake("det", "modle", dict(type="MaskRCNN"), "modle: nothing reads this key; did you mean 'model'?"),
    Mistake("det", "load_form", "a.pth", "load_form: nothing reads this key; did you mean 'load_from'?"),
    Mistake(
        "det",
        "lr_config",
        dict(policy="step"),
        "lr_config: MMEngine does not read this key of older versions; its work does param_scheduler",
    ),
    Mistake(
        "det",
        "model.neck.out_chanels",
        256,
        "model.neck.out_chanels: FPN has no such setting; did you mean 'out_channels'?",
    ),
    Mistake(
        "det",
        "model.roi_head.bbox_head.num_clases",
        3,
        "model.roi_head.bbox_head.num_clases: Shared2FCBBoxHead has no such setting; did you mean 'num_classes'?",
    ),
    Mistake(
        "seg",
        "model.decode_head.dropout_ration",
        0.1,
        "model.decode_head.dropout_ration: UPerHead has no such setting; did you mean 'dropout_ratio'?",
    ),
    Mistake("det", "model.backbone.windows_size", 8, "windows_size: did you mean 'window_size'?"),
    Mistake(
        "det", "model.backbone.qkv_bias", True, "qkv_bias: q and v always have a bias and k never has one; remove it"
    ),
    Mistake(
        "det",
        "train_dataloader.batchsize",
        2,
        "train_dataloader.batchsize: DataLoader has no such setting; did you mean 'batch_size'?",
    ),
    Mistake(
        "det",
        "train_dataloader.sampler.shufle",
        True,
        "train_dataloader.sampler.shufle: DefaultSampler has no such setting; did you mean 'shuffle'?",
    ),
    Mistake(
        "det",
        "train_dataloader.dataset.annfile",
        "a.json",
        "train_dataloader.dataset.annfile: CocoDataset has no such setting; did you mean 'ann_file'?",
    ),
    Mistake(
        "tiny",
        "train_dataloader.dataset.dataset.pipeline.1.with_boxes",
        True,
        "train_dataloader.dataset.dataset.pipeline.1.with_boxes: LoadAnnotations has no such setting; did you mean 'with_bbox'?",
    ),
    Mistake(
        "det",
        "train_cfg.max_epoch",
        12,
        "train_cfg.max_epoch: EpochBasedTrainLoop has no such setting; did you mean 'max_epochs'?",
    ),
    Mistake(
        "seg",
        "train_cfg.max_iter",
        12,
        "train_cfg.max_iter: IterBasedTrainLoop has no such setting; did you mean 'max_iters'?",
    ),
    Mistake(
        "det",
        "optim_wrapper.optimizer.weight_decy",
        0.1,
        "optim_wrapper.optimizer.weight_decy: AdamW has no such setting; did you mean 'weight_decay'?",
    ),
    Mistake(
        "cls",
        "optim_wrapper.clip_grad.max_nrom",
        1.0,
        "optim_wrapper.clip_grad.max_nrom: clip_grad_norm_ has no such setting; did you mean 'max_norm'?",
    ),
    Mistake(
        "det",
        "optim_wrapper.acumulative_counts",
        2,
        "optim_wrapper.acumulative_counts: OptimWrapper has no such setting; did you mean 'accumulative_counts'?",
    ),
    Mistake(
        "seg",
        "optim_wrapper.paramwise_cfg.decayrate",
        0.9,
        "optim_wrapper.paramwise_cfg.decayrate: nothing reads this key; did you mean 'decay_rate'?",
    ),
    Mistake("seg", "param_scheduler.1.milestones", [1], "param_scheduler.1.milestones: PolyLR has no such setting"),
    Mistake(
        "det",
        "default_hooks.chekpoint",
        dict(type="CheckpointHook"),
        "default_hooks.chekpoint: nothing reads this key; did you mean 'checkpoint'?",
    ),
    Mistake(
        "det",
        "default_hooks.checkpoint.max_keep_ckpt",
        2,
        "default_hooks.checkpoint.max_keep_ckpt: CheckpointHook has no such setting; did you mean 'max_keep_ckpts'?",
    ),
    Mistake(
        "det",
        "env_cfg.mp_cfg.mp_start_metod",
        "fork",
        "env_cfg.mp_cfg.mp_start_metod: nothing reads this key; did you mean 'mp_start_method'?",
    ),
    Mistake(
        "det",
        "auto_scale_lr.base_batchsize",
        16,
        "auto_scale_lr.base_batchsize: nothing reads this key; did you mean 'base_batch_size'?",
    ),
    Mistake(
        "det",
        "log_processor.windowsize",
        50,
        "log_processor.windowsize: LogProcessor has no such setting; did you mean 'window_size'?",
    ),
    Mistake(
        "det",
        "visualizer.vis_backend",
        [],
        "visualizer.vis_backend: DetLocalVisualizer has no such setting; did you mean 'vis_backends'?",
    ),
    Mistake(
        "det", "randomness", dict(sed=1), "randomness.sed: set_randomness has no such setting; did you mean 'seed'?"
    ),
    Mistake(
        "det", "param_scheduler.1.milestones", TAKEN_OUT, "param_scheduler.1 lacks milestones, which MultiStepLR needs"
    ),
]

UNKNOWN_TYPES = [
    Mistake(
        "det",
        "model.backbone.type",
        "mmswinv2.SwinTransfomerV2",
        "model.backbone.type: there is no model of type 'mmswinv2.SwinTransfomerV2'; did you mean 'mmswinv2.SwinTransformerV2'?",
    ),
    Mistake("det", "model.neck.type", "FNP", "model.neck.type: there is no model of type 'FNP'"),
    Mistake(
        "det",
        "model.rpn_head.loss_cls.type",
        "CrosEntropyLoss",
        "model.rpn_head.loss_cls.type: there is no model of type 'CrosEntropyLoss'; did you mean 'CrossEntropyLoss'?",
    ),
    Mistake("det", "model.train_cfg.rpn.assigner.type", "MaxIouAsigner", "did you mean 'MaxIoUAssigner'?"),
    Mistake(
        "seg",
        "model.decode_head.norm_cfg.type",
        "SyncBM",
        "model.decode_head.norm_cfg.type: there is no model of type 'SyncBM'; did you mean 'SyncBN'?",
    ),
    Mistake(
        "det",
        "model.roi_head.bbox_roi_extractor.roi_layer.type",
        "RoiAlign",
        "model.roi_head.bbox_roi_extractor.roi_layer.type: mmcv has no operator 'RoiAlign'; did you mean 'RoIAlign'?",
    ),
    Mistake(
        "det",
        "optim_wrapper.optimizer.type",
        "AdanW",
        "optim_wrapper.optimizer.type: there is no optimizer of type 'AdanW'; did you mean 'AdamW'?",
    ),
    Mistake(
        "det",
        "optim_wrapper.type",
        "OptimWraper",
        "optim_wrapper.type: there is no optim_wrapper of type 'OptimWraper'; did you mean 'OptimWrapper'?",
    ),
    Mistake(
        "det",
        "optim_wrapper.constructor",
        "mmswinv2.LayerDecayOptimWraperConstructor",
        "did you mean 'mmswinv2.LayerDecayOptimWrapperConstructor'?",
    ),
    Mistake(
        "det",
        "train_dataloader.dataset.type",
        "CocoDatset",
        "train_dataloader.dataset.type: there is no dataset of type 'CocoDatset'; did you mean 'CocoDataset'?",
    ),
    Mistake(
        "det",
        "train_dataloader.dataset.pipeline.0.type",
        "LoadImageFromFiles",
        "train_dataloader.dataset.pipeline.0.type: there is no transform of type 'LoadImageFromFiles'; did you mean 'LoadImageFromFile'?",
    ),
    Mistake(
        "det",
        "train_dataloader.sampler.type",
        "DefaultSamplr",
        "train_dataloader.sampler.type: there is no data sampler of type 'DefaultSamplr'; did you mean 'DefaultSampler'?",
    ),
    Mistake(
        "det", "train_dataloader.batch_sampler.type", "AspectRatioSampler", "did you mean 'AspectRatioBatchSampler'?"
    ),
    Mistake(
        "cls",
        "train_dataloader.collate_fn.type",
        "default_colate",
        "train_dataloader.collate_fn.type: there is no function of type 'default_colate'; did you mean 'default_collate'?",
    ),
    Mistake(
        "det",
        "val_evaluator.type",
        "CocoMetrik",
        "val_evaluator.type: there is no metric of type 'CocoMetrik'; did you mean 'CocoMetric'?",
    ),
    Mistake(
        "det",
        "train_cfg.type",
        "EpochBaseTrainLoop",
        "train_cfg.type: there is no loop of type 'EpochBaseTrainLoop'; did you mean 'EpochBasedTrainLoop'?",
    ),
    Mistake(
        "det",
        "param_scheduler.1.type",
        "MultistepLr",
        "param_scheduler.1.type: there is no parameter scheduler of type 'MultistepLr'; did you mean 'MultiStepLR'?",
    ),
    Mistake(
        "det",
        "param_scheduler.1.type",
        TAKEN_OUT,
        "param_scheduler.1 has no type: write dict(type=..., ...), with the name of a parameter scheduler",
    ),
    Mistake(
        "det",
        "default_hooks.logger.type",
        "LogerHook",
        "default_hooks.logger.type: there is no hook of type 'LogerHook'; did you mean 'LoggerHook'?",
    ),
    Mistake(
        "det",
        "custom_hooks",
        [dict(type="EmaHook2")],
        "custom_hooks.0.type: there is no hook of type 'EmaHook2'; did you mean 'EMAHook'?",
    ),
    Mistake(
        "det",
        "visualizer.type",
        "DetLocalVisualiser",
        "visualizer.type: there is no visualizer of type 'DetLocalVisualiser'; did you mean 'DetLocalVisualizer'?",
    ),
    Mistake("det", "default_scope", "mmdt", "default_scope: there is no package 'mmdt'; did you mean 'mmdet'?"),
]

NUMBERS = [
    Mistake("det", "train_dataloader.batch_size", 0, "train_dataloader.batch_size must be a positive integer, got 0"),
    Mistake(
        "seg", "train_dataloader.batch_size", 2.5, "train_dataloader.batch_size must be a positive integer, got 2.5"
    ),
    Mistake(
        "det",
        "train_dataloader.num_workers",
        -1,
        "train_dataloader.num_workers must be an integer of at least 0, got -1",
    ),
    Mistake("det", "train_dataloader.num_workers", 0, "train_dataloader.persistent_workers needs num_workers above 0"),
    Mistake("seg", "train_cfg.max_iters", -1, "train_cfg.max_iters must be a positive whole number, got -1"),
    Mistake("det", "train_cfg.max_epochs", 0, "train_cfg.max_epochs must be a positive whole number, got 0"),
    Mistake("det", "train_cfg.val_interval", 0, "train_cfg.val_interval must be a positive integer, got 0"),
    Mistake(
        "det",
        "optim_wrapper.optimizer.lr",
        "1e-4",
        "optim_wrapper.optimizer.lr must be a number above 0, got '1e-4': write 1e-4 without the quotes",
    ),
    Mistake(
        "det", "optim_wrapper.optimizer.lr", -1e-4, "optim_wrapper.optimizer.lr must be a number above 0, got -0.0001"
    ),
    Mistake(
        "det",
        "optim_wrapper.optimizer.lr",
        float("nan"),
        "optim_wrapper.optimizer.lr must be a number above 0, got nan",
    ),
    Mistake(
        "det",
        "optim_wrapper.optimizer.weight_decay",
        -0.1,
        "optim_wrapper.optimizer.weight_decay must be a number of at least 0, got -0.1",
    ),
    Mistake(
        "det",
        "optim_wrapper.optimizer.betas",
        (0.9, 1.5),
        "optim_wrapper.optimizer.betas must be two numbers in [0, 1), got (0.9, 1.5)",
    ),
    Mistake(
        "det",
        "optim_wrapper.accumulative_counts",
        0,
        "optim_wrapper.accumulative_counts must be a positive integer, got 0",
    ),
    Mistake(
        "cls", "optim_wrapper.clip_grad.max_norm", 0, "optim_wrapper.clip_grad.max_norm must be a number above 0, got 0"
    ),
    Mistake("det", "param_scheduler.0.end", 0, "param_scheduler.0.end must be a positive integer, got 0"),
    Mistake("det", "param_scheduler.1.begin", 12, "param_scheduler.1.end is 12, it must be above begin, which is 12"),
    Mistake(
        "det",
        "param_scheduler.1.milestones",
        [8.5],
        "param_scheduler.1.milestones must be a list of integers of at least 0, got [8.5]",
    ),
    Mistake(
        "det",
        "default_hooks.checkpoint.interval",
        0,
        "default_hooks.checkpoint.interval must be a positive integer, or -1 for never, got 0",
    ),
    Mistake(
        "det",
        "default_hooks.checkpoint.max_keep_ckpts",
        0,
        "default_hooks.checkpoint.max_keep_ckpts must be a positive integer, or -1 for all, got 0",
    ),
    Mistake(
        "det", "default_hooks.logger.interval", 0, "default_hooks.logger.interval must be a positive integer, got 0"
    ),
    Mistake(
        "det",
        "custom_hooks",
        [dict(type="EMAHook", momentum=1.5)],
        "custom_hooks.0.momentum must be a number between 0 and 1, got 1.5",
    ),
    Mistake(
        "det",
        "model.backbone.drop_path_rate",
        "0.2",
        "model.backbone.drop_path_rate must be a number in [0, 1), got '0.2'",
    ),
    Mistake("det", "model.backbone.window_size", 0, "model.backbone.window_size must be"),
    Mistake("det", "model.backbone.arch", "tinny", "model.backbone.arch: unknown arch 'tinny'"),
    Mistake(
        "seg",
        "model.decode_head.dropout_ratio",
        1.5,
        "model.decode_head.dropout_ratio must be a number in [0, 1), got 1.5",
    ),
    Mistake(
        "det",
        "model.roi_head.bbox_head.num_classes",
        0,
        "model.roi_head.bbox_head.num_classes must be a positive integer, got 0",
    ),
    Mistake(
        "det",
        "model.data_preprocessor.std",
        [58.4, 0, 57.4],
        "model.data_preprocessor.std must be a list of numbers above 0, got [58.4, 0, 57.4]",
    ),
    Mistake(
        "seg",
        "model.data_preprocessor.mean",
        [123.7, 116.3],
        "model.data_preprocessor.mean has 2 channels, model.data_preprocessor.std has 3",
    ),
    Mistake(
        "seg",
        "train_dataloader.dataset.pipeline.3.crop_size",
        (0, 512),
        "train_dataloader.dataset.pipeline.3.crop_size must be positive, got (0, 512)",
    ),
    Mistake(
        "det",
        "train_dataloader.dataset.pipeline.3.prob",
        1.5,
        "train_dataloader.dataset.pipeline.3.prob must be a number from 0 to 1",
    ),
    Mistake(
        "det", "auto_scale_lr.base_batch_size", 0, "auto_scale_lr.base_batch_size must be a positive integer, got 0"
    ),
    Mistake("det", "randomness", dict(seed="one"), "randomness.seed must be an integer of at least 0, got 'one'"),
]

CHANNELS = [
    Mistake(
        "det",
        "model.neck.in_channels",
        [256, 512, 1024, 2048],
        "model.neck.in_channels is [256, 512, 1024, 2048], the levels of the backbone have [96, 192, 384, 768]",
    ),
    Mistake(
        "det",
        "model.backbone.out_indices",
        (0, 1, 2),
        "model.neck.in_channels is [96, 192, 384, 768], the levels of the backbone have [96, 192, 384]",
    ),
    Mistake("det", "model.backbone.out_indices", (1, 2, 3, 4), "model.backbone.out_indices must be stages from 0 to 3"),
    Mistake(
        "det",
        "model.neck.num_outs",
        3,
        "model.neck.num_outs must be at least 4, the number of levels that the neck reads, got 3",
    ),
    Mistake(
        "det",
        "model.neck.num_outs",
        4,
        "model.rpn_head.anchor_generator.strides has 5 levels, model.neck.num_outs is 4",
    ),
    Mistake("det", "model.neck.out_channels", 128, "model.rpn_head.in_channels is 256, model.neck.out_channels is 128"),
    Mistake("det", "model.neck.start_level", 4, "model.neck.start_level must be one of the 4 levels, from 0, got 4"),
    Mistake(
        "seg", "model.auxiliary_head.in_index", 5, "model.auxiliary_head reads level 5, the backbone returns 4 levels"
    ),
    Mistake(
        "seg",
        "model.decode_head.in_channels",
        [64, 128, 320, 512],
        "model.decode_head.in_channels has 64 for level 0, which has 96 channels",
    ),
]

METRICS = [
    Mistake(
        "det",
        "default_hooks.checkpoint.save_best",
        "coco/bbox_map",
        "default_hooks.checkpoint.save_best: the validation gives no 'coco/bbox_map'; did you mean 'coco/bbox_mAP'?",
    ),
    Mistake(
        "det",
        "val_evaluator.metric",
        "segm",
        "default_hooks.checkpoint.save_best: the validation gives no 'coco/bbox_mAP'",
    ),
    Mistake(
        "seg",
        "default_hooks.checkpoint.save_best",
        "miou",
        "default_hooks.checkpoint.save_best: the validation gives no 'miou'; did you mean 'mIoU'?",
    ),
    Mistake(
        "cls",
        "default_hooks.checkpoint.save_best",
        "top1",
        "default_hooks.checkpoint.save_best: the validation gives no 'top1'; did you mean 'accuracy/top1'?",
    ),
    Mistake(
        "det",
        "default_hooks.checkpoint.rule",
        "more",
        "default_hooks.checkpoint.rule must be 'greater' or 'less', got 'more'",
    ),
    Mistake(
        "det",
        "val_evaluator.metric",
        ["bbox", "seg"],
        "val_evaluator.metric: there is no metric 'seg'; did you mean 'segm'?",
    ),
    Mistake(
        "seg",
        "val_evaluator.iou_metrics",
        ["mIOU"],
        "val_evaluator.iou_metrics: there is no metric 'mIOU'; did you mean 'mIoU'?",
    ),
]

TOGETHER = [
    Mistake(
        "det",
        "val_cfg",
        None,
        "val_cfg: missing beside val_dataloader and val_evaluator, MMEngine needs all three or none",
    ),
    Mistake(
        "det",
        "train_cfg.max_iters",
        1000,
        "train_cfg has max_epochs and max_iters: remove the one that the run does not count by",
    ),
    Mistake("det", "train_cfg.by_epoch", True, "train_cfg has type and by_epoch: remove by_epoch, the type tells it"),
    Mistake(
        "seg",
        "param_scheduler.1.by_epoch",
        True,
        "param_scheduler.1 counts epochs, but train_cfg counts iterations, so it would never change anything",
    ),
    Mistake(
        "seg",
        "default_hooks.checkpoint.by_epoch",
        TAKEN_OUT,
        "default_hooks.checkpoint counts epochs, but train_cfg counts iterations, so it would save at the end alone",
    ),
]

CONTAINERS = [
    Mistake(
        "det",
        "model",
        [dict(type="MaskRCNN")],
        "model is a list, it must be a dict: write its dict without the brackets",
    ),
    Mistake("det", "train_dataloader.dataset", None, "train_dataloader.dataset is None, it must be a dict"),
    Mistake(
        "det",
        "train_dataloader.dataset",
        TAKEN_OUT,
        "train_dataloader has no dataset: write train_dataloader=dict(dataset=dict(type=..., ...), ...)",
    ),
    Mistake("det", "optim_wrapper", "AdamW", "optim_wrapper is 'AdamW', it must be a dict or None"),
    Mistake(
        "det",
        "custom_hooks",
        dict(type="EMAHook"),
        "custom_hooks is a dict, it must be a list or None: put it in brackets, [dict(...)]",
    ),
    Mistake("det", "model.backbone", "swinv2", "model.backbone is 'swinv2', it must be a dict or None"),
    Mistake(
        "det",
        "train_dataloader.dataset.pipeline",
        dict(type="Resize"),
        "train_dataloader.dataset.pipeline is a dict, it must be a list or None",
    ),
    Mistake("det", "randomness", None, "randomness is None, it must be a dict"),
    Mistake(
        "det",
        "default_hooks.viz",
        None,
        "default_hooks.viz is None, but there is no such hook to take out: remove the key",
    ),
    Mistake("det", "resume", "True", "resume is 'True', it must be True or False"),
    Mistake(
        "det",
        "train_dataloader.dataset.data_prefix",
        "train2017",
        "train_dataloader.dataset.data_prefix is 'train2017', it must be a dict or None",
    ),
]

MISTAKES = [*UNKNOWN_KEYS, *UNKNOWN_TYPES, *NUMBERS, *CHANNELS, *METRICS, *TOGETHER, *CONTAINERS]


@lru_cache
def base(name: str) -> Config:
    """A config without mistakes; do not change it."""
    return Config.fromfile(ROOT / BASES[name])


def changed(mistake: Mistake) -> Config:
    """The base of a mistake with the change made."""
    config = Config(base(mistake.base).to_dict())
    *path, last = mistake.key.split(".")
    node: Any = config
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node[part] if part in node else node.setdefault(part, {})
    if mistake.value is TAKEN_OUT:
        del node[last]
    else:
        node[last] = mistake.value
    return config


def names() -> Iterator[str]:
    for mistake in MISTAKES:
        yield f"{mistake.base}: {mistake.key}={'' if mistake.value is TAKEN_OUT else mistake.value}"


@pytest.mark.parametrize("name", BASES)
def test_the_bases_have_no_mistake(name: str) -> None:
    assert check_settings(base(name)) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=names())
def test_a_mistake_is_found_and_explained(mistake: Mistake) -> None:
    with pytest.raises(ConfigError) as error:
        check_settings(changed(mistake))
    assert mistake.sentence in str(error.value)
