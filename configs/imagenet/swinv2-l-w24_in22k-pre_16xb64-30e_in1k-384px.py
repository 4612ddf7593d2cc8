# ImageNet-22k to 1k, SwinV2-L, window 24, 384 px: 30 epochs at batch 1024 (16 GPUs x 64 images), lr 4e-5.
# Source: the official release, swinv2_large_patch4_window12to24_192to384_22kto1k_ft. There the classifier starts from
# the 22k classifier's rows for the 1k classes, here anew.
_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet_384.py",
    "../_base_/schedules/imagenet_30e_from-22k.py",
    "../_base_/runtime/mmengine.py",
]

# The weights that the 22k recipe writes. Others: --cfg-options model.backbone.init_cfg.checkpoint=FILE
checkpoint = "work_dirs/swinv2-l-w12_32xb128-90e_in22k-192px/epoch_90.pth"
model = dict(
    backbone=dict(
        arch="large",
        window_size=[24, 24, 24, 12],  # at 384 px the last stage's map has 12 x 12 tokens
        drop_path_rate=0.2,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
)

# 16 GPUs x 64 images = 1024 images an iteration
train_dataloader = dict(batch_size=64)
