# ADE20K at a crop of 640 instead of 512, every scale with it.
_base_ = "./ade20k_512x512.py"

side = 640
scale = (4 * side, side)
train_pipeline, test_pipeline, tta_pipeline = _base_.train_pipeline, _base_.test_pipeline, _base_.tta_pipeline
train_pipeline[2].scale = scale  # RandomResize
train_pipeline[3].crop_size = (side, side)  # RandomCrop
test_pipeline[1].scale = scale  # Resize
for resize in tta_pipeline[1].transforms[0]:
    resize.scale = tuple(length * side // 512 for length in resize.scale)
del side, scale, resize  # not keys of the config

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
