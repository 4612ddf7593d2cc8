# SimMIM to ImageNet-1k, SwinV2-H, window 14, 224 px: 100 epochs at batch 2048 (32 GPUs x 64 images), lr 5e-3, layer
# decay 0.75. Source: of H only the results are published; all settings are inferred, as the official ones for SwinV2-B.
_base_ = "./swinv2-b-w14_simmim-pre_16xb128-100e_in1k-224px.py"

# The weights that the SimMIM recipe writes. Others: --cfg-options model.backbone.init_cfg.checkpoint=FILE
checkpoint = "work_dirs/simmim_swinv2-h-w12_32xb64-800e_in1k-192px/epoch_800.pth"
model = dict(backbone=dict(arch="huge", with_cp=True, init_cfg=dict(checkpoint=checkpoint)))

# 32 GPUs x 64 images = 2048 images an iteration
train_dataloader = dict(batch_size=64)
