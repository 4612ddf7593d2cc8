# UPerNet with a small SwinV2 from scratch on demo/nuclei: minutes on 2 CPU cores.
_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/nuclei_semantic.py",
    "../_base_/schedules/demo.py",
    "../_base_/runtime/mmseg.py",
]

# Group norm, since the pooled maps of a batch of 4 have too few values for batch norm.
norm_cfg = dict(type="GN", num_groups=8, requires_grad=True)
channels = [64, 128, 256]  # of the stages
num_classes = len(_base_.metainfo.classes)
model = dict(
    data_preprocessor=dict(size=_base_.train_pipeline[3].crop_size),  # of RandomCrop
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=channels[0], depths=(2, 2, 4), num_heads=(2, 4, 8)),
        window_size=8,
        drop_path_rate=0.0,
        out_indices=(0, 1, 2),
    ),
    decode_head=dict(
        in_channels=channels,
        in_index=[0, 1, 2],
        channels=80,
        num_classes=num_classes,
        norm_cfg=norm_cfg,
        loss_decode=[
            dict(type="CrossEntropyLoss", loss_name="loss_ce", loss_weight=1.0),
            dict(type="DiceLoss", loss_name="loss_dice", loss_weight=1.0),
        ],
    ),
    auxiliary_head=dict(in_channels=channels[2], channels=32, num_classes=num_classes, norm_cfg=norm_cfg),
)
del channels, num_classes  # not keys of the config

# 700 iterations instead of the 1000 of the schedule, of 4 crops of 128 px
max_iters, warmup = 700, 50
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]
del warmup  # not a key of the config
# The layer that gives the logits begins near zero and reads 80 channels. With ten times the rate, half the schedule's
# 2e-3 does as well for the rest: mIoU 0.850 each at images of 512 px, and 0.837 with both.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(conv_seg=dict(lr_mult=10))), optimizer=dict(lr=1e-3))

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=20, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=100, max_keep_ckpts=2),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
)
