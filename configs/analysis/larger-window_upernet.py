# The demo's UPerNet, trained on from its own weights, which the study gives, at another window or image size.
_base_ = "../demo/upernet_swinv2_nuclei.py"

# 200 iterations of 4 images. A quarter of the demo's learning rate, for the gains as well: they have grown already.
max_iters, warmup = 200, 20
train_cfg = dict(max_iters=max_iters, val_interval=max_iters, val_begin=max_iters + 1)  # the study tests
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]
del warmup  # not a key of the config
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(_delete_=True)), optimizer=dict(lr=2.5e-4))

default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
