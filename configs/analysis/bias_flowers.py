# A classifier with a small SwinV2 on all of flowers5, to compare position biases: the demo's, half as wide.
_base_ = "../demo/classifier_swinv2_flowers.py"

model = dict(backbone=dict(arch=dict(embed_dims=32)))  # 16 channels a head

data_root = "{{$MMSWINV2_DATA:../shared/data}}/flowers5"
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

# 900 iterations of 16 images = 19 times each of the 750. Windows of 8 on maps of 32, 16 and 8 tokens at 128 px.
max_iters, warmup = 900, 100
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]
del warmup  # not a key of the config
# The table's factor is there for the reason that bias_simmim.py tells.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={".relative_position_bias.table": dict(lr_mult=10)}))

default_hooks = dict(checkpoint=dict(interval=200, max_keep_ckpts=1))
