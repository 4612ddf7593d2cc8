# The photographs of facade.py as label maps: 0 unlabelled (the sky too), 1 to 10 the classes.
_base_ = "./facade.py"

dataset_type = "BaseSegDataset"
metainfo = dict(
    classes=_base_.metainfo.classes,
    palette=[
        (255, 160, 0),
        (220, 0, 60),
        (150, 130, 110),
        (150, 75, 0),
        (190, 80, 200),
        (255, 230, 0),
        (90, 90, 110),
        (0, 60, 255),
        (30, 150, 50),
        (0, 210, 255),
    ],
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=(512, 512), ratio_range=(0.5, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(256, 256), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(512, 512), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=_base_.data_root,
        metainfo=metainfo,
        reduce_zero_label=True,
        data_prefix=dict(img_path="train", seg_map_path="semantic/train"),
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
        metainfo=metainfo,
        reduce_zero_label=True,
        data_prefix=dict(img_path="val", seg_map_path="semantic/val"),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
