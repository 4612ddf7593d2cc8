# COCO with COCO-stuff's label maps in stuffthingmaps/train2017/, for HTC: images at 0.1 to 2 times 1536 px, cropped and
# padded to 1536 x 1536 px. Source of these numbers: arXiv 2111.09883, appendix A2.1; the order of steps is that of
# MMDetection's lsj-100e_coco-instance. The paper has InstaBoost too, which is left out: its package, instaboostfast
# 0.1.2 of 2019, makes arrays of polygons of unequal lengths, which NumPy refuses since 1.24.
# Tested at 1100 px, as in table 3. Inferred: this is the shorter side, and the longer at most 1100 * 1333 / 800 = 1833.
_base_ = "./coco_instance.py"

side = 1536
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True, with_seg=True),
    dict(type="RandomResize", scale=(side, side), ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(side, side), recompute_bbox=True, allow_negative_crop=True),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (1833, 1100)  # Resize

train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img="train2017/", seg="stuffthingmaps/train2017/"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
del side  # not a key of the config
