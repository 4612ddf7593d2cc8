# 40000 iterations * 64 images / 20210 training images = 127 epochs.
# Source: the ADE20K recipe for SwinV2-L of the SwinV2 paper (arXiv 2111.09883): lr 6e-5 at batch 64, weight decay 0.05,
# warm-up of 375 iterations, then linear decay to 0; it names no layer decay, so there is none.
_base_ = "./ade20k_160k.py"

iters, warmup, interval = 40000, 375, 4000
train_cfg = dict(max_iters=iters, val_interval=interval)

param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=warmup),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=warmup, end=iters),
]

optim_wrapper = dict(paramwise_cfg=dict(decay_rate=1.0), optimizer=dict(lr=6e-5))

auto_scale_lr = dict(base_batch_size=64)

default_hooks = dict(checkpoint=dict(interval=interval))
del iters, warmup, interval  # not keys of the config
