# Mask R-CNN, SwinV2-T, window 8, 1x: 12 epochs at batch 16 (8 GPUs x 2 images), lr 1e-4.
# The SwinV2 paper has no plain Mask R-CNN: the recipe is Swin V1's in MMDetection (configs/swin).
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    "../_base_/models/mask-rcnn_swinv2_fpn.py",
    "../_base_/datasets/coco_instance.py",
    "../_base_/schedules/coco_1x.py",
    "../_base_/runtime/mmdet.py",
]

model = dict(backbone=dict(window_size=8))  # SwinV2-T is the model's own
