# UPerNet, SwinV2-T, window 8, crop 512: 160k iterations at batch 16 (8 GPUs x 2 images), lr 4e-5, layer decay 0.95.
# Source: the ADE20K ablation of the SwinV2 paper (arXiv 2111.09883), SwinV2-T at window 16; T at window 8 alike.
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/ade20k_512x512.py",
    "../_base_/schedules/ade20k_160k.py",
    "../_base_/runtime/mmseg.py",
]

model = dict(backbone=dict(window_size=8))  # SwinV2-T is the model's own
