# ImageNet-1k from scratch, SwinV2-T, window 8, 256 px: 300 epochs at batch 1024 (8 GPUs x 128 images), lr 1e-3.
# Source: the official release, swinv2_tiny_patch4_window8_256: stochastic depth 0.2; the rest is common to all.
_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet_256.py",
    "../_base_/schedules/imagenet_300e.py",
    "../_base_/runtime/mmengine.py",
]

# SwinV2-T, window 8 and stochastic depth 0.2 are the model's own.
