# HTC++, SwinV2-G, window 32, crop 1536: 45k iterations at batch 96 (96 GPUs x 1 image), lr 6e-4, backbone 6e-5.
# Source: arXiv 2111.09883, appendix A2.2: from the weights of the Objects365 recipe, the mask branch anew; here
# classifiers and the branch for stuff are new too. See SwinV2-L for what is known of HTC++. Inferred: stochastic depth
# as on ADE20K, and how GPUs share the batch.
# Tested at window 48 (+0.2 box AP): --cfg-options model.backbone.window_size=48
_base_ = [
    "../_base_/models/htc_swinv2_fpn.py",
    "../_base_/datasets/coco_stuff_1536x1536.py",
    "../_base_/schedules/coco_45k_bs96.py",
    "../_base_/runtime/mmdet.py",
]

# The weights that the Objects365 recipe writes. Others: --cfg-options load_from=FILE
load_from = "work_dirs/htc++_swinv2-g-w32_fpn_96xb1-67500it_objects365v2/iter_67500.pth"

crop_size = _base_.train_pipeline[3].crop_size  # of RandomCrop: (1536, 1536)
pad = dict(type="BatchFixedSizePad", size=crop_size, pad_mask=True, pad_seg=True)
model = dict(
    data_preprocessor=dict(batch_augments=[pad]),
    backbone=dict(arch="giant", window_size=32, drop_path_rate=0.4, with_cp=True),
    neck=dict(in_channels=[512, 1024, 2048, 4096]),
)
del crop_size, pad  # not keys of the config

train_dataloader = dict(batch_size=1, sampler=dict(infinite=True))
log_processor = dict(by_epoch=False)
default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=2500))
