# SimMIM with a small SwinV2, to compare position biases: the demo's, half as wide, twice as long.
_base_ = "../demo/simmim_swinv2_photos.py"

model = dict(backbone=dict(arch=dict(embed_dims=32)))  # 16 channels a head

# 1200 iterations of 16 images = 27 times each of the 712. Windows of 8 on maps of 32, 16 and 8 tokens at 128 px.
max_iters, warmup = 1200, 100
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]
del warmup  # not a key of the config

# Only the model with a table has such a parameter. In these steps the bias of the networks comes to span 8 to 15 in the
# first block, and that of a table with the plain learning rate 0.7.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={".relative_position_bias.table": dict(lr_mult=10)}))

# Every second one of the held-out images: 132 of 128 px, with 1.3 million hidden pixels.
val_dataloader = dict(dataset=dict(indices=list(range(0, 264, 2))))
test_dataloader = val_dataloader

default_hooks = dict(checkpoint=dict(interval=200, max_keep_ckpts=1))
