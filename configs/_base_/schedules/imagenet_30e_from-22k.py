# 30 epochs of 1281167 images // 1024 images an iteration = 1251 iterations: 37530 iterations.
# Source: the official release (swinv2_*_22kto1k_ft): lr 2e-5 per 512 images, weight decay 1e-8; warm-up from 2e-8 for 5
# epochs, then a cosine to 2e-7, both per 512 images. In mixed precision: --amp.
_base_ = "./imagenet_300e.py"

epochs, warmup = 30, 5
lr = 2e-5  # per 512 images
train_cfg = dict(max_epochs=epochs)

param_scheduler = [
    dict(type="LinearLR", start_factor=2e-8 / lr, by_epoch=True, begin=0, end=warmup, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min_ratio=2e-7 / lr,
        by_epoch=True,
        begin=warmup,
        end=epochs,
        T_max=epochs - warmup,
        convert_to_iter_based=True,
    ),
]

# lr 4e-5 is for 1024 images an iteration; --auto-scale-lr scales it to what is used.
optim_wrapper = dict(optimizer=dict(lr=lr * _base_.auto_scale_lr.base_batch_size / 512, weight_decay=1e-8))
del epochs, warmup, lr  # not keys of the config
