# Cascade Mask R-CNN, SwinV2-T, window 16, 3x: 36 epochs at batch 16 (8 GPUs x 2 images), lr 1e-4, weight decay 0.05,
# shorter side 480 to 800, longer side at most 1333.
# Source: the COCO ablation of the SwinV2 paper (arXiv 2111.09883), SwinV2-T.
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    "../_base_/models/cascade-mask-rcnn_swinv2_fpn.py",
    "../_base_/datasets/coco_instance_ms.py",
    "../_base_/schedules/coco_3x.py",
    "../_base_/runtime/mmdet.py",
]

# SwinV2-T and window 16 are the model's own.
