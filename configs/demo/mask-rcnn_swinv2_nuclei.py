# Mask R-CNN with a small SwinV2 from scratch on demo/nuclei: minutes on 2 CPU cores.
_base_ = [
    "../_base_/models/mask-rcnn_swinv2_fpn.py",
    "../_base_/datasets/nuclei_instance.py",
    "../_base_/schedules/demo.py",
    "../_base_/runtime/mmdet.py",
]

# Nine tenths of the boxes are 6 to 55 px in the files, so 10 to 96 px at the test size (448 / 256 times): three levels,
# anchors from 8 px (2 x stride 4) to 72 px (4.5 x stride 16), and boxes below 112 px pooled from stride 4. Group norm,
# since there are no pretrained weights.
strides = [4, 8, 16]
norm_cfg = dict(type="GN", num_groups=16, requires_grad=True)
channels = [64, 128, 256]  # of the stages
fpn_channels = 64
num_classes = len(_base_.metainfo.classes)
model = dict(
    data_preprocessor=dict(pad_size_divisor=1),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=channels[0], depths=(2, 2, 4), num_heads=(2, 4, 8)),
        window_size=8,
        drop_path_rate=0.0,
        out_indices=(0, 1, 2),
    ),
    neck=dict(in_channels=channels, out_channels=fpn_channels, num_outs=3, norm_cfg=norm_cfg),
    rpn_head=dict(
        in_channels=fpn_channels,
        feat_channels=fpn_channels,
        num_convs=2,
        anchor_generator=dict(scales=[2, 3, 4.5], strides=strides),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=fpn_channels, featmap_strides=strides),
        bbox_head=dict(in_channels=fpn_channels, fc_out_channels=256, num_classes=num_classes, reg_class_agnostic=True),
        mask_roi_extractor=dict(out_channels=fpn_channels, featmap_strides=strides),
        mask_head=dict(
            in_channels=fpn_channels,
            conv_out_channels=64,
            num_convs=2,
            num_classes=num_classes,
            class_agnostic=True,
            norm_cfg=norm_cfg,
        ),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(pos_iou_thr=0.6)),
        rpn_proposal=dict(nms_pre=600, max_per_img=300),
        rcnn=dict(sampler=dict(num=64, pos_fraction=0.5)),
    ),
    test_cfg=dict(rcnn=dict(max_per_img=300)),  # images have up to 111 nuclei, and MMDetection keeps 100 detections
)
del channels, fpn_channels, num_classes  # not keys of the config

default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(by_epoch=False, interval=100, save_best=None),
)
log_processor = dict(by_epoch=False, window_size=20)
