# SimMIM of nuclei a third as long, to follow its loss on held-out images with fewer images and with a wider model.
_base_ = "labels_simmim-nuclei.py"

# 4000 iterations of 8 images: 103 times each of the 312 images, 1032 times each of 10 % of them
max_iters, warmup = 4000, 100
train_cfg = dict(max_iters=max_iters, val_interval=200)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]
del warmup  # not a key of the config
