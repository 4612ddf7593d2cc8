# SimMIM for flowers and facades, with half the demo's width and side, on lists of all images that the study writes.
_base_ = "../demo/simmim_swinv2_photos.py"

model = dict(backbone=dict(arch=dict(embed_dims=32, num_heads=(1, 2, 4))), target_window=None)

side = 64
crop, resize, mask = _base_.crop, _base_.resize, _base_.mask
crop.input_size = resize.input_size = mask.input_size = side
crop.scale = (0.1, 1.0)
train_dataloader = dict(dataset=dict(pipeline=[_base_.load, crop, mask]))
val_dataloader = dict(dataset=dict(pipeline=[_base_.load, resize, mask]))
test_dataloader = val_dataloader
del side  # not a key of the config

# 12000 iterations of 16 of 1894 images
max_iters, warmup = 12000, 100
train_cfg = dict(max_iters=max_iters, val_interval=500)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]
del warmup  # not a key of the config
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(_delete_=True)), optimizer=dict(lr=1.5e-3))

default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(interval=500, max_keep_ckpts=1))
