# ImageNet-22k at 192 px: train/ and val/ below the root, each with a folder for every one of the 21,841 classes.
# The root is set here or by the environment variable IMAGENET22K_ROOT.
# The set has no validation images: val/ holds some of every class, taken out of train/.
_base_ = "./imagenet_256.py"

data_root = "{{$IMAGENET22K_ROOT:data/imagenet22k/}}"

side = 192
train_pipeline = [dict(type="mmswinv2.LoadImage"), dict(_base_.augment, input_size=side)]
test_pipeline = [dict(type="mmswinv2.LoadImage"), dict(_base_.resize, input_size=side)]
del side  # not a key of the config

train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
