# UPerNet, SwinV2-L, window 40, crop 640: 40k iterations at batch 64 (8 GPUs x 8 images), lr 6e-5.
# Source: the ADE20K recipe for SwinV2-L of the SwinV2 paper (arXiv 2111.09883), from weights trained on ImageNet-22k at
# 192 px, windows 12, 12, 12, 6. Tested in crops of 640 every 426 px, as MMSegmentation's 640 px BEiT and ConvNeXt.
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/ade20k_640x640.py",
    "../_base_/schedules/ade20k_40k_bs64.py",
    "../_base_/runtime/mmseg.py",
]

crop_size = _base_.train_pipeline[3].crop_size  # of RandomCrop: (640, 640)
stride = tuple(side * 2 // 3 for side in crop_size)  # 426
channels = [192, 384, 768, 1536]  # of the four stages
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        arch="large",
        window_size=40,  # in tokens: 160 x 160 of them are a crop
        pretrained_window_sizes=[12, 12, 12, 6],
        with_cp=True,  # 8 images a GPU
    ),
    decode_head=dict(in_channels=channels),
    auxiliary_head=dict(in_channels=channels[2]),
    test_cfg=dict(mode="slide", crop_size=crop_size, stride=stride),
)
del crop_size, stride, channels  # not keys of the config

train_dataloader = dict(batch_size=8)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="bfloat16")
