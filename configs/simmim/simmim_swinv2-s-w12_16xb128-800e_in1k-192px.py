# SimMIM, SwinV2-S (49 M parameters), window 12, 192 px: 800 epochs at batch 2048 (16 GPUs x 128 images), lr 4e-4.
# Source: the official zoo (MODELHUB.md, "Simmim Pretrained Swin-V2 Models") gives batch 2048 and 500k iterations, which
# are 800 epochs; all else is inferred: as the official config for SwinV2-B.
_base_ = "./simmim_swinv2-b-w12_16xb128-800e_in1k-192px.py"

# Checkpointing saves memory for a second forward pass; --cfg-options model.backbone.with_cp=False turns it off.
model = dict(backbone=dict(arch="small", with_cp=True))
