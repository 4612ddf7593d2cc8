# The demo's UPerNet of facades with half its width, without the fourth stage, which SimMIM does not train, and at half
# its scale: photographs of 512 px become 256 px.
_base_ = "../demo/upernet_swinv2_facade.py"

channels = [32, 64, 128]  # of the stages
crop, scale = (128, 128), (256, 256)
model = dict(
    data_preprocessor=dict(size=crop),
    backbone=dict(arch=dict(embed_dims=channels[0], depths=(2, 2, 4), num_heads=(1, 2, 4)), out_indices=(0, 1, 2)),
    decode_head=dict(in_channels=channels, in_index=[0, 1, 2], channels=32),
    auxiliary_head=dict(in_channels=channels[2], channels=16),
)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].scale = test_pipeline[1].scale = scale
train_pipeline[3].crop_size = crop
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
del channels, crop, scale  # not keys of the config

# 900 iterations of 4 crops: 144 times each photograph of 10 %. After 300 hardly more than two of ten classes are found.
max_iters, warmup = 900, 90
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]
del warmup  # not a key of the config
# as in labels_nuclei-maps.py
fast = dict(lr_mult=10)
gains = {"_delete_": True, "norm1": fast, "norm2": fast, "conv_seg": fast, "backbone.norm": dict(lr_mult=1)}
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=gains))
del fast, gains  # not keys of the config

default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
