# UPerNet, SwinV2-G, window 40, crop 640: 80k iterations at batch 32 (32 GPUs x 1 image), lr 4e-5.
# Source: arXiv 2111.09883, appendix A2.2; heads and test as for SwinV2-L. How GPUs share the batch is inferred.
# Tested at 896 px and window 56 (+0.2 mIoU): --cfg-options model.backbone.window_size=56
#   'model.test_cfg.crop_size=(896,896)' 'model.test_cfg.stride=(597,597)'
#   'test_dataloader.dataset.pipeline.1.scale=(3584,896)'
# ImageNet weights: --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/ade20k_640x640.py",
    "../_base_/schedules/ade20k_80k_bs32.py",
    "../_base_/runtime/mmseg.py",
]

crop_size = _base_.train_pipeline[3].crop_size  # of RandomCrop: (640, 640)
stride = tuple(side * 2 // 3 for side in crop_size)  # 426
channels = [512, 1024, 2048, 4096]  # of the four stages
windows = dict(window_size=40, pretrained_window_sizes=[12, 12, 12, 6])  # the latter of ImageNet-22k at 192 px
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(arch="giant", drop_path_rate=0.4, with_cp=True, **windows),
    decode_head=dict(in_channels=channels),
    auxiliary_head=dict(in_channels=channels[2]),
    test_cfg=dict(mode="slide", crop_size=crop_size, stride=stride),
)
del crop_size, stride, channels, windows  # not keys of the config

train_dataloader = dict(batch_size=1)
