# ImageNet-1k: train/ and val/ below the root, each with a folder for every class.
# The root is set here or by the environment variable IMAGENET_ROOT.
data_root = "{{$IMAGENET_ROOT:data/imagenet/}}"
side = 256

# Augmentation of the official release (config.py); as there, timm leaves colour jitter out beside RandAugment.
augment = dict(
    type="mmswinv2.TimmTransform",
    input_size=side,
    is_training=True,
    auto_augment="rand-m9-mstd0.5-inc1",
    color_jitter=0.4,
    re_prob=0.25,
    re_mode="pixel",
    re_count=1,
    interpolation="bicubic",
)
# Tested as there on the middle of the image, its shorter side resized to 256 / 0.875 = 292 px.
resize = dict(type="mmswinv2.TimmTransform", input_size=side, crop_pct=0.875, interpolation="bicubic")
train_pipeline = [dict(type="mmswinv2.LoadImage"), augment]
test_pipeline = [dict(type="mmswinv2.LoadImage"), resize]
del side  # not a key of the config

# 8 GPUs x 128 images = 1024 images an iteration
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,  # Mixup mixes pairs, and the last batch might be odd
    sampler=dict(type="mmswinv2.ResumableSampler"),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="mmswinv2.ImageDataset",
        data_root=data_root,
        data_prefix=dict(img_path="train/"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="mmswinv2.ImageDataset",
        data_root=data_root,
        data_prefix=dict(img_path="val/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmswinv2.Accuracy", topk=(1, 5))
test_evaluator = val_evaluator
