# ImageNet-22k to 1k, SwinV2-L, window 16, 256 px: 30 epochs at batch 1024 (8 GPUs x 128 images), lr 4e-5.
# Source: the official release, swinv2_large_patch4_window12to16_192to256_22kto1k_ft. There the classifier starts from
# the 22k classifier's rows for the 1k classes, here anew.
_base_ = "./swinv2-b-w16_in22k-pre_8xb128-30e_in1k-256px.py"

# The weights that the 22k recipe writes. Others: --cfg-options model.backbone.init_cfg.checkpoint=FILE
checkpoint = "work_dirs/swinv2-l-w12_32xb128-90e_in22k-192px/epoch_90.pth"
model = dict(backbone=dict(arch="large", init_cfg=dict(checkpoint=checkpoint)))
