# ImageNet-22k, SwinV2-B, window 12, 192 px: 90 epochs at batch 4096 (32 GPUs x 128 images), lr 1e-3.
# Source: the official release, swinv2_base_patch4_window12_192_22k, and the paper's appendix A2.1 (arXiv 2111.09883).
_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet22k_192.py",
    "../_base_/schedules/imagenet22k_90e.py",
    "../_base_/runtime/mmengine.py",
]

classes = dict(num_classes=21841)
model = dict(
    backbone=dict(
        arch="base",
        window_size=[12, 12, 12, 6],  # at 192 px the last stage's map has 6 x 6 tokens
        drop_path_rate=0.2,
    ),
    data_preprocessor=classes,
    **classes,
)
