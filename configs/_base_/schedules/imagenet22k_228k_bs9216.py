# 30 epochs * 70e6 images / 9216 images an iteration = 227865, so 228000 iterations.
# Source: stage 2 of SwinV2-G in arXiv 2111.09883, appendix A2.2: AdamW, lr 1.4e-3 at batch 9216, layer decay 0.87,
# weight decay 0.1, gradients clipped at norm 100, warm-up of 20000 iterations, then a cosine.
# It does not say where warm-up starts and the cosine ends: the ratios are those of imagenet22k_90e.
# In mixed precision: --amp.
_base_ = "./imagenet22k_90e.py"

iters, warmup, interval = 228000, 20000, 4000
train_cfg = dict(_delete_=True, type="mmswinv2.ResumableIterLoop", max_iters=iters, val_interval=interval)

rise, fall = _base_.param_scheduler
param_scheduler = [
    dict(type="LinearLR", start_factor=rise.start_factor, by_epoch=False, begin=0, end=warmup),
    dict(
        type="CosineAnnealingLR",
        eta_min_ratio=fall.eta_min_ratio,
        by_epoch=False,
        begin=warmup,
        end=iters,
        T_max=iters - warmup,
    ),
]

optim_wrapper = dict(
    paramwise_cfg=dict(decay_rate=0.87),
    optimizer=dict(lr=1.4e-3, weight_decay=0.1),
    clip_grad=dict(max_norm=100.0),
)

# lr 1.4e-3 is for 144 GPUs x 64 images; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(base_batch_size=9216)

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=interval),
)
del iters, warmup, interval, rise, fall  # not keys of the config
