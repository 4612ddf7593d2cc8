# demo/nuclei: nuclei under the microscope, half of them narrower than 17 px. Images are enlarged: 256 px to 448.
dataset_type = "CocoDataset"
data_root = "demo/nuclei/"
val_ann_file = "annotations/instances_val.json"
metainfo = dict(classes=("fluorescence-nucleus", "histology-nucleus"), palette=[(0, 190, 255), (255, 205, 0)])

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="RandomResize", scale=(384, 384), ratio_range=(0.65, 1.5), keep_ratio=True),
    dict(type="YOLOXHSVRandomAug"),
    dict(type="RandomCrop", crop_size=(192, 192)),
    dict(type="RandomFlip", prob=[0.25, 0.25, 0.25], direction=["horizontal", "vertical", "diagonal"]),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(2, 2)),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(448, 448), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=0,  # loading takes 3 to 4 % of a step, and a CPU run needs the cores
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        # tissue is in 0.199 of the images, so each of those comes ceil(sqrt(0.8 / 0.199)) = 3 times
        type="ClassBalancedDataset",
        oversample_thr=0.8,
        dataset=dict(
            type=dataset_type,
            data_root=data_root,
            metainfo=metainfo,
            ann_file="annotations/instances_train.json",
            data_prefix=dict(img="train/"),
            pipeline=train_pipeline,
        ),
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
        ann_file=val_ann_file,
        data_prefix=dict(img="val/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="CocoMetric", ann_file=data_root + val_ann_file, metric=["bbox", "segm"], classwise=True)
test_evaluator = val_evaluator
del val_ann_file  # not a key of the config
