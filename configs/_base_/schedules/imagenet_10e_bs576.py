# 10 epochs of 1281167 images // 576 images an iteration = 2224 iterations: 22240 iterations.
# Source: SwinV2-G on ImageNet-1k in arXiv 2111.09883, appendix A2.2: lr 2.1e-5 at batch 576, weight decay 0.1,
# gradients clipped at norm 100, warm-up of 2 epochs, then a cosine; it names no layer decay, so there is none. It does
# not say where warm-up starts and the cosine ends: the ratios are those of imagenet_30e_from-22k. In mixed precision:
# --amp.
_base_ = "./imagenet_30e_from-22k.py"

epochs, warmup = 10, 2
train_cfg = dict(max_epochs=epochs)

rise, fall = _base_.param_scheduler
param_scheduler = [
    dict(rise, end=warmup),
    dict(fall, begin=warmup, end=epochs, T_max=epochs - warmup),
]

optim_wrapper = dict(optimizer=dict(lr=2.1e-5, weight_decay=0.1), clip_grad=dict(max_norm=100.0))

# lr 2.1e-5 is for 72 GPUs x 8 images; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(base_batch_size=576)
del epochs, warmup, rise, fall  # not keys of the config
