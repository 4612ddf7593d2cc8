# demo/nuclei as label maps: 0 unlabelled, 1 background, 2 and 3 the two kinds of nuclei. Images are enlarged: 256 px to
# 384.
dataset_type = "BaseSegDataset"
data_root = "demo/nuclei/"
metainfo = dict(
    classes=("background", "fluorescence-nucleus", "histology-nucleus"),
    palette=[(40, 40, 40), (0, 190, 255), (255, 205, 0)],
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=(384, 384), ratio_range=(0.7, 1.3), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(128, 128), cat_max_ratio=0.95),
    dict(type="RandomFlip", prob=[0.25, 0.25, 0.25], direction=["horizontal", "vertical", "diagonal"]),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(384, 384), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]

train_images = dict(
    type=dataset_type,
    data_root=data_root,
    metainfo=metainfo,
    reduce_zero_label=True,
    data_prefix=dict(img_path="train", seg_map_path="semantic/train"),
    pipeline=train_pipeline,
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,  # loading takes 3 to 4 % of a step, and a CPU run needs the cores
    sampler=dict(type="InfiniteSampler", shuffle=True),
    # 62 of the 312 images are tissue; twice more each, they are 186 of 436
    dataset=dict(
        type="ConcatDataset",
        datasets=[
            train_images,
            dict(type="RepeatDataset", times=2, dataset=dict(ann_file="semantic/train_histology.txt", **train_images)),
        ],
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
        reduce_zero_label=True,
        data_prefix=dict(img_path="val", seg_map_path="semantic/val"),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
