# ImageNet-1k at 384 px; tested as in the official release (TEST.CROP False) on the whole image, squeezed to a square.
_base_ = "./imagenet_256.py"

train_pipeline = [dict(type="mmswinv2.LoadImage"), dict(_base_.augment, input_size=384)]
test_pipeline = [
    dict(type="mmswinv2.LoadImage"),
    dict(_base_.resize, input_size=384, crop_pct=1.0, crop_mode="squash"),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
