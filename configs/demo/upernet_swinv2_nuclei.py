# UPerNet with a small SwinV2 from scratch on demo/nuclei, for 2 CPU cores.
_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/nuclei_semantic.py",
    "../_base_/runtime/mmseg.py",
]

model = dict(
    data_preprocessor=dict(size=(192, 192)),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=48, depths=(2, 2, 4, 2), num_heads=(2, 4, 8, 16)),
        window_size=8,
        drop_path_rate=0.0,
    ),
    decode_head=dict(in_channels=[48, 96, 192, 384], channels=64, num_classes=3),
    auxiliary_head=dict(in_channels=192, channels=32, num_classes=3),
)

max_iters = 300
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=30, end=max_iters, eta_min_ratio=0.01),
]
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=20, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=100, max_keep_ckpts=2),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
)
