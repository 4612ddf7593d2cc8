# Mask R-CNN, SwinV2-T, window 8, 3x: 36 epochs at batch 16 (8 GPUs x 2 images), lr 1e-4, multi-scale with crops.
# The SwinV2 paper has no plain Mask R-CNN: the recipe is Swin V1's in MMDetection (configs/swin).
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    "../_base_/models/mask-rcnn_swinv2_fpn.py",
    "../_base_/datasets/coco_instance_ms-crop.py",
    "../_base_/schedules/coco_3x.py",
    "../_base_/runtime/mmdet.py",
]

model = dict(backbone=dict(window_size=8))  # SwinV2-T is the model's own

# float16, not bfloat16: before RoIAlign MMDetection rounds boxes to the type of the features, which in bfloat16 means
# steps of 4 pixels above 512, and mmcv's RoIAlign refuses it. Attention logits are float32 in either.
optim_wrapper = dict(type="AmpOptimWrapper", dtype="float16", loss_scale="dynamic")
