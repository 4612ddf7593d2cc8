# Hybrid Task Cascade and FPN with a SwinV2 backbone; all but the backbone as in MMDetection's htc_r50_fpn, and soft-NMS
# when tested. The semantic branch learns from COCO-stuff's label maps: 182 classes and unlabelled.
_base_ = "./cascade-mask-rcnn_swinv2_fpn.py"

num_classes = _base_.model.roi_head.mask_head.num_classes
channels = _base_.model.neck.out_channels
rcnn = _base_.model.train_cfg.rcnn
for stage in rcnn:
    stage.assigner.match_low_quality = True  # as in MMDetection's HTC, unlike its Cascade R-CNN

model = dict(
    type="HybridTaskCascade",
    data_preprocessor=dict(pad_seg=True),
    roi_head=dict(
        type="HybridTaskCascadeRoIHead",
        interleaved=True,  # masks learn from the boxes that their stage has refined
        mask_info_flow=True,
        bbox_head=[
            dict(
                type="Shared2FCBBoxHead",
                in_channels=channels,
                fc_out_channels=1024,
                roi_feat_size=7,
                num_classes=num_classes,
                bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_means=[0.0, 0.0, 0.0, 0.0], target_stds=target_stds),
                reg_class_agnostic=True,
                loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
            )
            for target_stds in ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
        ],
        mask_head=[
            dict(
                type="HTCMaskHead",
                with_conv_res=with_conv_res,  # of the stage before, which the first has not
                num_convs=4,
                in_channels=channels,
                conv_out_channels=256,
                num_classes=num_classes,
                loss_mask=dict(type="CrossEntropyLoss", use_mask=True, loss_weight=1.0),
            )
            for with_conv_res in (False, True, True)
        ],
        semantic_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
            out_channels=channels,
            featmap_strides=[8],
        ),
        semantic_head=dict(
            type="FusedSemanticHead",
            num_ins=_base_.model.neck.num_outs,
            fusion_level=1,
            seg_scale_factor=1 / 8,
            num_convs=4,
            in_channels=channels,
            conv_out_channels=channels,
            num_classes=183,
            loss_seg=dict(type="CrossEntropyLoss", ignore_index=255, loss_weight=0.2),
        ),
    ),
    train_cfg=dict(
        # Anchors may cross the border, which MMDetection's HTC forbids (0): at a tenth of its size a narrow image may
        # hold no anchor as a whole, and MMDetection then stops.
        rpn=dict(allowed_border=-1),
        rcnn=rcnn,
    ),
    test_cfg=dict(rcnn=dict(score_thr=0.001, nms=dict(type="soft_nms"))),
)
del num_classes, channels, rcnn, stage  # not keys of the config
