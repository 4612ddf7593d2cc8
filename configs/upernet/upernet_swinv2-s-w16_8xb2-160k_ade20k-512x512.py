# UPerNet, SwinV2-S, window 16, crop 512: 160k iterations at batch 16 (8 GPUs x 2 images), lr 4e-5, layer decay 0.95.
# Source: the ADE20K ablation of the SwinV2 paper (arXiv 2111.09883), SwinV2-T at window 16; S at window 16 alike.
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = "./upernet_swinv2-s-w8_8xb2-160k_ade20k-512x512.py"

model = dict(backbone=dict(window_size=16))
