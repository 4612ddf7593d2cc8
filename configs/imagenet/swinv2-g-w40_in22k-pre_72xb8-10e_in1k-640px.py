# ImageNet-22k to 1k, SwinV2-G, window 40, 640 px: 10 epochs at batch 576 (72 GPUs x 8 images), lr 2.1e-5.
# Source: arXiv 2111.09883, appendix A2.2. Inferred: window 40 as on ADE20K at 640 px, label smoothing 0.1 as in the
# official release, and how GPUs share the batch.
_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet_640.py",
    "../_base_/schedules/imagenet_10e_bs576.py",
    "../_base_/runtime/mmengine.py",
]

# The weights that the 22k recipe writes. Others: --cfg-options model.backbone.init_cfg.checkpoint=FILE
checkpoint = "work_dirs/swinv2-g-w12_simmim-pre_144xb64-228k_in22k-192px/iter_228000.pth"
windows = [40, 40, 40, 20]  # at 640 px the last stage's map has 20 x 20 tokens
init = dict(type="Pretrained", checkpoint=checkpoint)
model = dict(
    backbone=dict(arch="giant", window_size=windows, drop_path_rate=0.5, with_cp=True, init_cfg=init),
    label_smoothing=0.1,
    data_preprocessor=None,  # neither Mixup nor CutMix
)
del windows, init  # not keys of the config

# 72 GPUs x 8 images = 576 images an iteration
train_dataloader = dict(batch_size=8)
