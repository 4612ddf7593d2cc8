# Mask R-CNN, SwinV2-B, window 16, 3x: 36 epochs at batch 16 (8 GPUs x 2 images), lr 1e-4, multi-scale with crops.
# The SwinV2 paper has no plain Mask R-CNN: the recipe is Swin V1's in MMDetection (configs/swin),
# which goes up to S; B is trained alike.
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = "./mask-rcnn_swinv2-b-w8_fpn_amp-ms-crop-3x_coco.py"

model = dict(backbone=dict(window_size=16))
