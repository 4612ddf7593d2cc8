# The demo's Mask R-CNN of nuclei with half its width.
_base_ = "../demo/mask-rcnn_swinv2_nuclei.py"

channels, fpn_channels = [32, 64, 128], 48
model = dict(
    backbone=dict(arch=dict(embed_dims=channels[0], num_heads=(1, 2, 4))),
    neck=dict(in_channels=channels, out_channels=fpn_channels),
    rpn_head=dict(in_channels=fpn_channels, feat_channels=fpn_channels, num_convs=1),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=fpn_channels),
        bbox_head=dict(in_channels=fpn_channels, fc_out_channels=128),
        mask_roi_extractor=dict(out_channels=fpn_channels),
        mask_head=dict(in_channels=fpn_channels, conv_out_channels=32, num_convs=1),
    ),
)
del channels, fpn_channels  # not keys of the config

# The study's lists of images have tissue three times.
train_dataloader = dict(dataset=dict(_delete_=True, **_base_.train_dataloader.dataset.dataset))

# 300 iterations of 2 crops: 19 times each image of 10 %
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
