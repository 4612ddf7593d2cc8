# ImageNet-1k for SimMIM at 192 px: all images below train/, whatever their folders; those below val/ are held out.
# The root is set here or by the environment variable IMAGENET_ROOT.
data_root = "{{$IMAGENET_ROOT:data/imagenet/}}"
side = 192

# Light augmentation and mask of the official release (data/data_simmim_pt.py).
crop = dict(
    type="mmswinv2.TimmTransform",
    input_size=side,
    is_training=True,
    scale=(0.67, 1.0),
    ratio=(3 / 4, 4 / 3),
    color_jitter=None,
    interpolation="bilinear",
)
# Of 6 x 6 squares of 32 px, ceil(36 * 0.6) = 22 are hidden.
mask = dict(type="mmswinv2.RandomPatchMask", input_size=side, mask_patch_size=32, patch_size=4, mask_ratio=0.6)
train_pipeline = [dict(type="mmswinv2.LoadImage"), crop, mask]
test_pipeline = [
    dict(type="mmswinv2.LoadImage"),
    dict(type="mmswinv2.TimmTransform", input_size=side, crop_pct=0.875, interpolation="bicubic"),
    mask,
]
del side  # not a key of the config

# 16 GPUs x 128 images = 2048 images an iteration
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type="mmswinv2.ResumableSampler"),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="mmswinv2.ImageDataset",
        data_root=data_root,
        data_prefix=dict(img_path="train/"),
        with_label=False,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    # The seed makes the masks the same in every evaluation, so that losses compare.
    sampler=dict(type="mmswinv2.ResumableSampler", shuffle=False, seed=0),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="mmswinv2.ImageDataset",
        data_root=data_root,
        data_prefix=dict(img_path="val/"),
        with_label=False,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmswinv2.ReconstructionError")
test_evaluator = val_evaluator
