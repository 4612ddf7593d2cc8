# 90 epochs of 14197122 images // 4096 images an iteration = 3466 iterations: 311940 iterations.
# Source: the official release (swinv2_*_patch4_window12_192_22k): lr 1.25e-4 per 512 images, weight decay 0.1; warm-up
# from 1.25e-7 for 5 epochs, then a cosine to 1.25e-6, both per 512 images. In mixed precision: --amp.
_base_ = "./imagenet_300e.py"

epochs, warmup = 90, 5
lr, batch = 1.25e-4, 4096  # lr per 512 images
train_cfg = dict(max_epochs=epochs)

param_scheduler = [
    dict(type="LinearLR", start_factor=1.25e-7 / lr, by_epoch=True, begin=0, end=warmup, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min_ratio=1.25e-6 / lr,
        by_epoch=True,
        begin=warmup,
        end=epochs,
        T_max=epochs - warmup,
        convert_to_iter_based=True,
    ),
]

optim_wrapper = dict(optimizer=dict(lr=lr * batch / 512, weight_decay=0.1))

# lr 1e-3 is for 32 GPUs x 128 images; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(base_batch_size=batch)
del epochs, warmup, lr, batch  # not keys of the config
