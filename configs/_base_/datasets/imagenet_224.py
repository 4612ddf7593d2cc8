# ImageNet-1k at 224 px; tested on the middle of the image, its shorter side resized to 224 / 0.875 = 256 px.
_base_ = "./imagenet_256.py"

side = 224
train_pipeline = [dict(type="mmswinv2.LoadImage"), dict(_base_.augment, input_size=side)]
test_pipeline = [dict(type="mmswinv2.LoadImage"), dict(_base_.resize, input_size=side)]
del side  # not a key of the config

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
