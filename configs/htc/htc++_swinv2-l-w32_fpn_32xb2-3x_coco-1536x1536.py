# HTC++, SwinV2-L, window 32, crop 1536, 3x: 36 epochs at batch 64 (32 GPUs x 2 images), lr 4e-4, backbone 4e-5.
# Source: arXiv 2111.09883, appendix A2.1. It has no code. HTC++ is an improved HTC of Swin V1's appendix A2.2; of its
# parts InstaBoost is left out (see the data set), and the extra global attention too, whose form is not published.
# That it has HTC's branch for stuff is what the authors say in issue 90 of microsoft/SoftTeacher.
# Inferred: heads as in HTC, stochastic depth as in the ADE20K recipe for L, and how GPUs share the batch.
# Tested at window 48 (+0.1 box AP): --cfg-options model.backbone.window_size=48
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    "../_base_/models/htc_swinv2_fpn.py",
    "../_base_/datasets/coco_stuff_1536x1536.py",
    "../_base_/schedules/coco_3x_bs64.py",
    "../_base_/runtime/mmdet.py",
]

crop_size = _base_.train_pipeline[3].crop_size  # of RandomCrop: (1536, 1536)
pad = dict(type="BatchFixedSizePad", size=crop_size, pad_mask=True, pad_seg=True)
backbone = dict(
    arch="large",
    window_size=32,
    pretrained_window_sizes=[12, 12, 12, 6],  # of ImageNet-22k at 192 px
    drop_path_rate=0.3,
    with_cp=True,
)
model = dict(
    data_preprocessor=dict(batch_augments=[pad]), backbone=backbone, neck=dict(in_channels=[192, 384, 768, 1536])
)
del crop_size, pad, backbone  # not keys of the config
