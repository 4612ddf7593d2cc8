# 100 epochs of 1281167 images // 2048 images an iteration = 625 iterations: 62500 iterations.
# Source: the official release (simmim_finetune__swinv2_base__img224_window14__800ep): lr 1.25e-3 per 512 images, layer
# decay 0.75, weight decay 0.05; warm-up from 2.5e-7 for 20 epochs, then a cosine to 2.5e-7, both per 512 images. There
# all layers start and end at that value, here each at that ratio to its own lr. In mixed precision: --amp.
_base_ = "./imagenet_300e.py"

epochs, warmup = 100, 20
lr, batch = 1.25e-3, 2048  # lr per 512 images
train_cfg = dict(max_epochs=epochs)

param_scheduler = [
    dict(type="LinearLR", start_factor=2.5e-7 / lr, by_epoch=True, begin=0, end=warmup, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min_ratio=2.5e-7 / lr,
        by_epoch=True,
        begin=warmup,
        end=epochs,
        T_max=epochs - warmup,
        convert_to_iter_based=True,
    ),
]

optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.75), optimizer=dict(lr=lr * batch / 512))

# lr 5e-3 is for 16 GPUs x 128 images; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(base_batch_size=batch)
del epochs, warmup, lr, batch  # not keys of the config
