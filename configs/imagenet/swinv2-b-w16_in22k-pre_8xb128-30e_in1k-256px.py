# ImageNet-22k to 1k, SwinV2-B, window 16, 256 px: 30 epochs at batch 1024 (8 GPUs x 128 images), lr 4e-5.
# Source: the official release, swinv2_base_patch4_window12to16_192to256_22kto1k_ft. There the classifier starts from
# the 22k classifier's rows for the 1k classes, here anew.
_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet_256.py",
    "../_base_/schedules/imagenet_30e_from-22k.py",
    "../_base_/runtime/mmengine.py",
]

# The weights that the 22k recipe writes. Others: --cfg-options model.backbone.init_cfg.checkpoint=FILE
checkpoint = "work_dirs/swinv2-b-w12_32xb128-90e_in22k-192px/epoch_90.pth"
model = dict(
    backbone=dict(
        arch="base",
        window_size=[16, 16, 16, 8],  # at 256 px the last stage's map has 8 x 8 tokens
        drop_path_rate=0.2,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
)
