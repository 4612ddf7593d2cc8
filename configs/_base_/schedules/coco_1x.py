# 12 epochs = 12 * 117266 images with objects / 16 images an iteration = 87960 iterations.
# Source: MMDetection's Swin V1 recipe (configs/swin): AdamW, lr 1e-4 at batch 16, weight decay 0.05, warm-up of 1000
# iterations, lr / 10 after epochs 8 and 11.
epochs = 12
train_cfg = dict(type="mmswinv2.ResumableEpochLoop", max_epochs=epochs, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", begin=0, end=epochs, by_epoch=True, milestones=[8, 11], gamma=0.1),
]

optim_wrapper = dict(
    type="OptimWrapper",
    # No weight decay on norms, biases, logit_scale and cpb_mlp.
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
)

# lr 1e-4 is for 8 GPUs x 2 images; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(enable=False, base_batch_size=16)
del epochs  # not a key of the config
