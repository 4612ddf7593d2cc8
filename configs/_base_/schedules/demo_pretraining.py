# SimMIM and a classifier in minutes: AdamW, warm-up, cosine to a hundredth. Iterations are for 2 CPU cores.
#
# The gains of the post-norms start at zero and learn ten times as fast, or the blocks hardly take part (see demo.py).
max_iters = 600
train_cfg = dict(type="mmswinv2.ResumableIterLoop", max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min_ratio=0.01),
]

optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    paramwise_cfg=dict(custom_keys={".norm1.": dict(lr_mult=10), ".norm2.": dict(lr_mult=10)}),
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)

default_hooks = dict(
    logger=dict(type="LoggerHook", interval=20),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=100, max_keep_ckpts=2),
)
