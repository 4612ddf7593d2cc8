# SimMIM and a classifier in minutes on 2 CPU cores: as the demo, gains included, with smaller steps.
_base_ = "demo.py"

max_iters, warmup = 600, 50
train_cfg = dict(type="mmswinv2.ResumableIterLoop", max_iters=max_iters, val_interval=max_iters)

param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]

optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.0))

default_hooks = dict(
    logger=dict(type="LoggerHook", interval=20),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=100, max_keep_ckpts=2),
)
del warmup  # not a key of the config
