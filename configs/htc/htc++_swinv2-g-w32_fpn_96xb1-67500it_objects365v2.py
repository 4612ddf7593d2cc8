# HTC++ without masks, SwinV2-G, window 32: 67500 iterations at batch 96 (96 GPUs x 1 image), lr 1.2e-3, of the backbone
# 1.2e-4. Source: arXiv 2111.09883, appendix A2.2, the step between ImageNet and COCO. See SwinV2-L for what is known of
# HTC++. Inferred: no stuff either, for want of label maps; stochastic depth as on ADE20K; how GPUs share the batch.
# Weights, gradients and AdamW's two moments are 3.0e9 * 16 bytes = 48 GB. The authors shared the moments by ZeRO-1.
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    "../_base_/models/htc_swinv2_fpn.py",
    "../_base_/datasets/objects365v2.py",
    "../_base_/schedules/objects365_67500_bs96.py",
    "../_base_/runtime/mmdet.py",
]

boxes = [dict(head, num_classes=365) for head in _base_.model.roi_head.bbox_head]
absent = dict.fromkeys(("mask_roi_extractor", "mask_head", "semantic_roi_extractor", "semantic_head"))
windows = dict(window_size=32, pretrained_window_sizes=[12, 12, 12, 6])  # the latter of ImageNet-22k at 192 px
model = dict(
    backbone=dict(arch="giant", drop_path_rate=0.4, with_cp=True, **windows),
    neck=dict(in_channels=[512, 1024, 2048, 4096]),
    # MMDetection refines boxes in the interleaved order only where there are masks.
    roi_head=dict(interleaved=False, bbox_head=boxes, **absent),
)
del boxes, absent, windows  # not keys of the config

train_dataloader = dict(batch_size=1, sampler=dict(infinite=True))
log_processor = dict(by_epoch=False)
default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=2500))
