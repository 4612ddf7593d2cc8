# ImageNet-1k from scratch, SwinV2-B, window 8, 256 px: 300 epochs at batch 1024 (8 GPUs x 128 images), lr 1e-3.
# Source: the official release, swinv2_base_patch4_window8_256: stochastic depth 0.5; the rest is common to all.
_base_ = "./swinv2-t-w8_8xb128-300e_in1k-256px.py"

model = dict(backbone=dict(arch="base", drop_path_rate=0.5))
