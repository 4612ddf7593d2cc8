# Objects365 v2, boxes of 365 classes: annotations/zhiyuan_objv2_{train,val}.json, {train,val}/patch*/ below the root.
# The root is set here or by the environment variable OBJECTS365_ROOT.
# Source: arXiv 2111.09883, appendix A2.2: resolution [800, 1024]. Inferred: this is the range of the shorter side, the
# longer is at most 1333 to 1024 * 1333 / 800 = 1706, and tests are as on COCO at 800 px.
_base_ = "./coco_instance.py"

dataset_type = "Objects365V2Dataset"
data_root = "{{$OBJECTS365_ROOT:data/objects365v2/}}"
val_ann_file = "annotations/zhiyuan_objv2_val.json"

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomResize", scale=[(1333, 800), (1706, 1024)], keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = _base_.test_pipeline
test_pipeline[2] = dict(type="LoadAnnotations", with_bbox=True)

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/zhiyuan_objv2_train.json",
        data_prefix=dict(img="train/"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file=val_ann_file,
        data_prefix=dict(img="val/"),
        pipeline=test_pipeline,
    ),
)

val_evaluator = dict(ann_file=data_root.rstrip("/") + "/" + val_ann_file, metric="bbox")
test_evaluator = val_evaluator
del val_ann_file  # not a key of the config
