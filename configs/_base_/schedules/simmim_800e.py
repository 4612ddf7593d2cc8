# 800 epochs of 1281167 images // 2048 images an iteration = 625 iterations: 500000 iterations.
# Source: the official release (simmim_pretrain__swinv2_base__img192_window12__800ep): AdamW, lr 1e-4 per 512 images,
# weight decay 0.05, gradients clipped at norm 5; warm-up from 5e-7 per 512 images for 10 epochs, lr / 10 after epoch
# 700. There weight decay also shrinks logit_scale and cpb_mlp, by a slip in their names; here it leaves them alone, as
# in the official classification. In mixed precision: --amp.
epochs, interval = 800, 10
lr, batch = 1e-4, 2048  # lr per 512 images
train_cfg = dict(type="mmswinv2.ResumableEpochLoop", max_epochs=epochs, val_interval=interval)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

# The warm-up is a ratio to lr, so that --auto-scale-lr scales it as well.
param_scheduler = [
    dict(type="LinearLR", start_factor=5e-7 / lr, by_epoch=True, begin=0, end=10, convert_to_iter_based=True),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=epochs, milestones=[700], gamma=0.1),
]

optim_wrapper = dict(
    type="OptimWrapper",
    # No weight decay on norms, biases, logit_scale, cpb_mlp and the mask token.
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=lr * batch / 512, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)

# lr 4e-4 is for 2048 images an iteration; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(enable=False, base_batch_size=batch)

default_hooks = dict(
    logger=dict(type="LoggerHook", interval=50),
    # of every tenth epoch, the last two and the best one
    checkpoint=dict(
        type="CheckpointHook", interval=interval, max_keep_ckpts=2, save_best="reconstruction/l1", rule="less"
    ),
)
del epochs, interval, lr, batch  # not keys of the config
