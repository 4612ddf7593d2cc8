# 160000 iterations * 16 images / 20210 training images = 127 epochs.
# Source: the ADE20K ablation of the SwinV2 paper (arXiv 2111.09883): AdamW, lr 4e-5 at batch 16, weight decay 0.05,
# layer decay 0.95, warm-up of 1500 iterations, then linear decay to 0.
iters, warmup, interval = 160000, 1500, 16000
train_cfg = dict(type="mmswinv2.ResumableIterLoop", max_iters=iters, val_interval=interval)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=warmup),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=warmup, end=iters),
]

optim_wrapper = dict(
    type="OptimWrapper",
    # No weight decay on norms, biases, logit_scale and cpb_mlp.
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    paramwise_cfg=dict(decay_rate=0.95),
    optimizer=dict(type="AdamW", lr=4e-5, betas=(0.9, 0.999), weight_decay=0.05),
)

# lr 4e-5 is for 8 GPUs x 2 images; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(enable=False, base_batch_size=16)

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # the last two and the best one
    checkpoint=dict(
        type="CheckpointHook", by_epoch=False, interval=interval, max_keep_ckpts=2, save_best="mIoU", rule="greater"
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
)
del iters, warmup, interval  # not keys of the config
