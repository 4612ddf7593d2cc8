# Photographs of building facades, 249 to train and 54 to validate, 512 x 512, half of the objects smaller than 32 x 32
# px. From https://github.com/a-hwang/building-facade-segmentation (CC BY 4.0).
dataset_type = "CocoDataset"
data_root = "{{$MMSWINV2_DATA:../shared/data}}/facade_instances/"
metainfo = dict(
    classes=(
        "balcony-fence",
        "car",
        "facade",
        "fence",
        "non-building-infrastructure",
        "shop",
        "street",
        "traffic-infrastructure",
        "vegetation",
        "window",
    )
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    # from the whole photograph in 256 px to a quarter of it in 320 px
    dict(type="RandomResize", scale=(512, 512), ratio_range=(0.5, 1.25), keep_ratio=True),
    dict(type="YOLOXHSVRandomAug"),
    dict(type="RandomCrop", crop_size=(320, 320)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(2, 2)),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(512, 512), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/instances_train.json",
        data_prefix=dict(img="train/"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/instances_val.json",
        data_prefix=dict(img="val/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type="CocoMetric", ann_file=data_root + "annotations/instances_val.json", metric=["bbox", "segm"], classwise=True
)
test_evaluator = val_evaluator
