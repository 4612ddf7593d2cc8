# Mask R-CNN with a small SwinV2 from scratch on demo/nuclei, for 2 CPU cores.
_base_ = [
    "../_base_/models/mask-rcnn_swinv2_fpn.py",
    "../_base_/datasets/nuclei_instance.py",
    "../_base_/runtime/mmdet.py",
]

# Nuclei are 6 to 110 px wide in the enlarged images: anchors from 8 px (2 x stride 4) to 96 px (3 x stride 32), and a
# box of 96 px and more is pooled from stride 16 (finest_scale 24: stride 4 below 48 px).
model = dict(
    data_preprocessor=dict(pad_size_divisor=1),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=48, depths=(2, 2, 4, 2), num_heads=(2, 4, 8, 16)),
        window_size=8,
        drop_path_rate=0.0,
    ),
    neck=dict(in_channels=[48, 96, 192, 384], out_channels=96, num_outs=4),
    rpn_head=dict(in_channels=96, feat_channels=96, anchor_generator=dict(scales=[2, 3], strides=[4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=96, finest_scale=24),
        bbox_head=dict(in_channels=96, fc_out_channels=256, num_classes=2, reg_class_agnostic=True),
        mask_roi_extractor=dict(out_channels=96, finest_scale=24),
        mask_head=dict(in_channels=96, conv_out_channels=64, num_convs=2, num_classes=2, class_agnostic=True),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(pos_iou_thr=0.6)),
        rpn_proposal=dict(nms_pre=600, max_per_img=300),
        rcnn=dict(sampler=dict(num=128, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=600, max_per_img=300)),
)

max_iters = 780
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=60),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=60, end=max_iters, eta_min_ratio=0.01),
]
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=35.0),
)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2, save_best=None),
)
log_processor = dict(by_epoch=False, window_size=20)
