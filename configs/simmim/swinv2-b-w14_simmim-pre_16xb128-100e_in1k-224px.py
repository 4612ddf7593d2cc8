# SimMIM to ImageNet-1k, SwinV2-B, window 14, 224 px: 100 epochs at batch 2048 (16 GPUs x 128 images), lr 5e-3, layer
# decay 0.75. Source: the official release, simmim_finetune__swinv2_base__img224_window14__800ep.
_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet_224.py",
    "../_base_/schedules/imagenet_100e_from-simmim.py",
    "../_base_/runtime/mmengine.py",
]

# The weights that the SimMIM recipe writes. Others: --cfg-options model.backbone.init_cfg.checkpoint=FILE
checkpoint = "work_dirs/simmim_swinv2-b-w12_16xb128-800e_in1k-192px/epoch_800.pth"
model = dict(
    backbone=dict(
        arch="base",
        window_size=[14, 14, 14, 7],  # at 224 px the last stage's map has 7 x 7 tokens
        drop_path_rate=0.1,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
)
