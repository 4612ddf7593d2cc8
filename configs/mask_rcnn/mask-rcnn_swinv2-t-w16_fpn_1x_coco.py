# Mask R-CNN, SwinV2-T, window 16, 1x: 12 epochs at batch 16 (8 GPUs x 2 images), lr 1e-4.
# The SwinV2 paper has no plain Mask R-CNN: the recipe is Swin V1's in MMDetection (configs/swin).
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = "./mask-rcnn_swinv2-t-w8_fpn_1x_coco.py"

model = dict(backbone=dict(window_size=16))
