# UPerNet with a SwinV2-T backbone, heads and stochastic depth as in MMSegmentation's Swin V1.
#
# SyncBN joins the statistics of all GPUs and is ordinary BN in a run of one process, on a GPU or a CPU. It cannot join
# several CPU processes: there, --cfg-options model.decode_head.norm_cfg.type=BN model.auxiliary_head.norm_cfg.type=BN
norm_cfg = dict(type="SyncBN", requires_grad=True)
num_classes = 150
channels = [96, 192, 384, 768]  # of the four stages of the backbone
crop_size = (512, 512)
stride = tuple(side * 2 // 3 for side in crop_size)  # 341

model = dict(
    type="EncoderDecoder",
    _scope_="mmseg",  # whose types these are, whatever scope the model is built in
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=crop_size,
    ),
    backbone=dict(type="mmswinv2.SwinTransformerV2", arch="tiny", window_size=16, drop_path_rate=0.3),
    decode_head=dict(
        type="UPerHead",
        in_channels=channels,
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=512,
        dropout_ratio=0.1,
        num_classes=num_classes,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type="FCNHead",
        in_channels=channels[2],
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=num_classes,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=0.4),
    ),
    train_cfg=dict(),
    # Sliding windows instead of the whole image: --cfg-options model.test_cfg.mode=slide
    test_cfg=dict(mode="whole", crop_size=crop_size, stride=stride),
)
del num_classes, channels, crop_size, stride  # not keys of the config
