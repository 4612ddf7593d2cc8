# The demo's Mask R-CNN at twice the window, with 300 iterations. From SimMIM's weights at window 8 with
# --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = "mask-rcnn_swinv2_nuclei.py"

model = dict(backbone=dict(window_size=16))

max_iters, warmup = 300, 60
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]
del warmup  # not a key of the config
