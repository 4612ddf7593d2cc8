# The demo's classifier of flowers with half its width, on all 750 photographs at half its side, 64 px.
_base_ = "../demo/classifier_swinv2_flowers.py"

model = dict(backbone=dict(arch=dict(embed_dims=32, num_heads=(1, 2, 4))))

side = 64
train_pipeline = _base_.train_pipeline
train_pipeline[1].input_size = side
test_pipeline = _base_.test_pipeline
test_pipeline[1].input_size = side
data_root = "{{$MMSWINV2_DATA:../shared/data}}/flowers5"
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
del side, data_root  # not keys of the config

# 300 iterations of 16 images: 64 times each of 10 %
max_iters, warmup = 300, 30
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters, eta_min_ratio=0.01),
]
del warmup  # not a key of the config
# Without dots, which --cfg-options split, in those that the study sets. The last one exempts the norms of the outputs.
gains = {"_delete_": True, "norm1": dict(lr_mult=10), "norm2": dict(lr_mult=10), "backbone.norm": dict(lr_mult=1)}
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=gains))
del gains  # not a key of the config

default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(max_keep_ckpts=1))
