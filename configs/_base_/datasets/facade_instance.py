# The photographs of facade.py with the boxes and outlines of their objects.
_base_ = "./facade.py"

dataset_type = "CocoDataset"
val_ann_file = "annotations/instances_val.json"

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
        data_root=_base_.data_root,
        metainfo=_base_.metainfo,
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
        data_root=_base_.data_root,
        metainfo=_base_.metainfo,
        ann_file=val_ann_file,
        data_prefix=dict(img="val/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type="CocoMetric",
    ann_file=_base_.data_root + val_ann_file,
    metric=["bbox", "segm"],
    classwise=True,
)
test_evaluator = val_evaluator
del val_ann_file  # not a key of the config
