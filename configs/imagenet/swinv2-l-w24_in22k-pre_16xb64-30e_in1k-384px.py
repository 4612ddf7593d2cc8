# ImageNet-22k to 1k, SwinV2-L, window 24, 384 px: 30 epochs at batch 1024 (16 GPUs x 64 images), lr 4e-5.
# Source: the official release, swinv2_large_patch4_window12to24_192to384_22kto1k_ft. There the classifier starts from
# the 22k classifier's rows for the 1k classes, here anew.
_base_ = "./swinv2-b-w24_in22k-pre_16xb64-30e_in1k-384px.py"

# The weights that the 22k recipe writes. Others: --cfg-options model.backbone.init_cfg.checkpoint=FILE
checkpoint = "work_dirs/swinv2-l-w12_32xb128-90e_in22k-192px/epoch_90.pth"
model = dict(backbone=dict(arch="large", init_cfg=dict(checkpoint=checkpoint)))
