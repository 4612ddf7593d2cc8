# COCO 2017: annotations/instances_{train,val}2017.json, train2017/, val2017/ below the root.
# The root is set here or by the environment variable COCO_ROOT.
dataset_type = "CocoDataset"
data_root = "{{$COCO_ROOT:data/coco/}}"
val_ann_file = "annotations/instances_val2017.json"
scale = (1333, 800)
meta_keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    # after Resize: the evaluation compares at the original size
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="PackDetInputs", meta_keys=meta_keys),
]

# 8 GPUs x 2 images = 16 images an iteration
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="mmswinv2.ResumableSampler"),
    batch_sampler=dict(type="mmswinv2.ResumableBatchSampler", batch_sampler=dict(type="AspectRatioBatchSampler")),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/instances_train2017.json",
        data_prefix=dict(img="train2017/"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file=val_ann_file,
        data_prefix=dict(img="val2017/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type="CocoMetric",
    ann_file=data_root.rstrip("/") + "/" + val_ann_file,
    metric=["bbox", "segm"],
    format_only=False,
)
test_evaluator = val_evaluator

# --tta. MMDetection merges boxes alone, so a model with masks needs
# --cfg-options model.roi_head.mask_head=None test_evaluator.metric=bbox
tta_model = dict(type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100))
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="Resize", scale=size, keep_ratio=True) for size in [(666, 400), scale, (2000, 1200)]],
            [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
            [dict(type="PackDetInputs", meta_keys=(*meta_keys, "flip", "flip_direction"))],
        ],
    ),
]
del val_ann_file, scale, meta_keys  # not keys of the config
