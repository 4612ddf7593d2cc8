# 300 epochs of 1281167 images // 1024 images an iteration = 1251 iterations: 375300 iterations.
# Source: the official release (config.py): AdamW, lr 5e-4 per 512 images, weight decay 0.05, gradients clipped at norm
# 5; warm-up from 5e-7 for 20 epochs, then a cosine to 5e-6, both per 512 images. In mixed precision: --amp.
epochs, warmup = 300, 20
lr, batch = 5e-4, 1024  # lr per 512 images
train_cfg = dict(type="mmswinv2.ResumableEpochLoop", max_epochs=epochs, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

# Ratios to lr, so that --auto-scale-lr scales warm-up and minimum as well.
param_scheduler = [
    dict(type="LinearLR", start_factor=5e-7 / lr, by_epoch=True, begin=0, end=warmup, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min_ratio=5e-6 / lr,
        by_epoch=True,
        begin=warmup,
        end=epochs,
        T_max=epochs - warmup,
        convert_to_iter_based=True,
    ),
]

optim_wrapper = dict(
    type="OptimWrapper",
    # No weight decay on norms, biases, logit_scale and cpb_mlp.
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=lr * batch / 512, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)

# lr 1e-3 is for 8 GPUs x 128 images; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(enable=False, base_batch_size=batch)

default_hooks = dict(
    logger=dict(type="LoggerHook", interval=50),
    # the last two epochs and the best one
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=2, save_best="accuracy/top1", rule="greater"),
)
del epochs, warmup, lr, batch  # not keys of the config
