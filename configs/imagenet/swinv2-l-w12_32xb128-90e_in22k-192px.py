# ImageNet-22k, SwinV2-L, window 12, 192 px: 90 epochs at batch 4096 (32 GPUs x 128 images), lr 1e-3.
# Source: the official release, swinv2_large_patch4_window12_192_22k, and the paper's appendix A2.1 (arXiv 2111.09883).
_base_ = "./swinv2-b-w12_32xb128-90e_in22k-192px.py"

model = dict(backbone=dict(arch="large"))
