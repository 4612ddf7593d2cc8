# SimMIM to ImageNet-22k, SwinV2-G, window 12, 192 px: 228k iterations at batch 9216 (144 GPUs x 64 images), lr 1.4e-3,
# layer decay 0.87. Source: stage 2 of SwinV2-G in arXiv 2111.09883, appendix A2.2, on 70 million images of the authors;
# here on the 14 million of ImageNet-22k, 228000 * 9216 / 14197122 = 148 epochs.
# Inferred: window 12, label smoothing 0.1 as in the official release, and how GPUs share the batch.
_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet22k_192.py",
    "../_base_/schedules/imagenet22k_228k_bs9216.py",
    "../_base_/runtime/mmengine.py",
]

# The weights that the SimMIM recipe writes. Others: --cfg-options model.backbone.init_cfg.checkpoint=FILE
checkpoint = "work_dirs/simmim_swinv2-g-w12_144xb64-152k_in22k-192px/iter_152000.pth"
windows = [12, 12, 12, 6]  # at 192 px the last stage's map has 6 x 6 tokens
init = dict(type="Pretrained", checkpoint=checkpoint)
model = dict(
    backbone=dict(arch="giant", window_size=windows, drop_path_rate=0.3, with_cp=True, init_cfg=init),
    num_classes=21841,
    label_smoothing=0.1,
    data_preprocessor=None,  # neither Mixup nor CutMix
)
del windows, init  # not keys of the config

# 144 GPUs x 64 images = 9216 images an iteration
train_dataloader = dict(batch_size=64, sampler=dict(infinite=True))
log_processor = dict(by_epoch=False)
