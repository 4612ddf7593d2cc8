# The demo's Mask R-CNN at twice the window and half the iterations. From SimMIM's weights at window 8 with
# --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = "mask-rcnn_swinv2_nuclei.py"

model = dict(backbone=dict(window_size=16))

max_iters = 300
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=60),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=60, end=max_iters, eta_min_ratio=0.01),
]
