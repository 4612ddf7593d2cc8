# 40000 iterations * 64 images / 20210 training images = 127 epochs.
# Source: the ADE20K recipe for SwinV2-L of the SwinV2 paper (arXiv 2111.09883): lr 6e-5 at batch 64, weight decay 0.05,
# warm-up of 375 iterations, then linear decay to 0; it names no layer decay, so there is none.
_base_ = "./ade20k_160k.py"

train_cfg = dict(max_iters=40000, val_interval=4000)

param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=375),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=375, end=40000),
]

optim_wrapper = dict(paramwise_cfg=dict(decay_rate=1.0), optimizer=dict(lr=6e-5))

auto_scale_lr = dict(base_batch_size=64)

default_hooks = dict(checkpoint=dict(interval=4000))
