# ImageNet-1k at 224 px; tested on the middle of the image, its shorter side resized to 224 / 0.875 = 256 px.
_base_ = "./imagenet_256.py"

train_pipeline = [dict(type="mmswinv2.LoadImage"), dict(_base_.augment, input_size=224)]
test_pipeline = [dict(type="mmswinv2.LoadImage"), dict(_base_.resize, input_size=224)]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
