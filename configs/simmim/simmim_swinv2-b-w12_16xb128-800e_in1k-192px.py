# SimMIM, SwinV2-B, window 12, 192 px: 800 epochs at batch 2048 (16 GPUs x 128 images), lr 4e-4.
# Source: the official release, simmim_pretrain__swinv2_base__img192_window12__800ep.
_base_ = [
    "../_base_/models/simmim_swinv2.py",
    "../_base_/datasets/imagenet_simmim_192.py",
    "../_base_/schedules/simmim_800e.py",
    "../_base_/runtime/mmengine.py",
]

model = dict(backbone=dict(arch="base"))
