# 80000 iterations * 32 images / 20210 training images = 127 epochs.
# Source: SwinV2-G on ADE20K in arXiv 2111.09883, appendix A2.2: lr 4e-5 at batch 32, weight decay 0.05, warm-up of 750
# iterations, then linear decay to 0; it names no layer decay, so there is none.
_base_ = "./ade20k_40k_bs64.py"

iters, warmup, interval = 80000, 750, 8000
train_cfg = dict(max_iters=iters, val_interval=interval)

param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=warmup),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=warmup, end=iters),
]

optim_wrapper = dict(optimizer=dict(lr=4e-5))

auto_scale_lr = dict(base_batch_size=32)

default_hooks = dict(checkpoint=dict(interval=interval))
del iters, warmup, interval  # not keys of the config
