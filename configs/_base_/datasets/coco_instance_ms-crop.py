# Multi-scale training, half of the images cropped in between (from DETR and Sparse R-CNN, as in MMDetection's Swin V1).
_base_ = "./coco_instance_ms.py"

multi_scale = _base_.train_pipeline[2]  # RandomChoiceResize: shorter side 480 to 800
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="RandomFlip", prob=0.5),
    dict(
        type="RandomChoice",
        transforms=[
            [multi_scale],
            [
                dict(type="RandomChoiceResize", scales=[(1333, side) for side in (400, 500, 600)], keep_ratio=True),
                dict(type="RandomCrop", crop_type="absolute_range", crop_size=(384, 600), allow_negative_crop=True),
                multi_scale,
            ],
        ],
    ),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
