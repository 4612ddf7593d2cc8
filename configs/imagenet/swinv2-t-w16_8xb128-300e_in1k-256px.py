# ImageNet-1k from scratch, SwinV2-T, window 16, 256 px: 300 epochs at batch 1024 (8 GPUs x 128 images), lr 1e-3.
# Source: the official release, swinv2_tiny_patch4_window16_256: stochastic depth 0.2; the rest is common to all.
_base_ = "./swinv2-t-w8_8xb128-300e_in1k-256px.py"

# At 256 px the last stage's map has 8 x 8 tokens.
model = dict(backbone=dict(window_size=[16, 16, 16, 8]))
