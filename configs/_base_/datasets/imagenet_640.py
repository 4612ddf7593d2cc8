# ImageNet-1k at 640 px; tested as at 384 px on the whole image, squeezed to a square: the paper does not say how.
_base_ = "./imagenet_256.py"

side = 640
train_pipeline = [dict(type="mmswinv2.LoadImage"), dict(_base_.augment, input_size=side)]
test_pipeline = [
    dict(type="mmswinv2.LoadImage"),
    dict(_base_.resize, input_size=side, crop_pct=1.0, crop_mode="squash"),
]
del side  # not a key of the config

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
