# 67500 iterations * 96 images / 1742289 images = 3.7 epochs.
# Source: SwinV2-G on Objects365 v2 in arXiv 2111.09883, appendix A2.2: AdamW, lr 1.2e-3 at batch 96, weight decay 0.05.
# It names neither warm-up nor steps nor the lr of the backbone: they are as in coco_45k_bs96.
_base_ = "./coco_45k_bs96.py"

iters = 67500
train_cfg = dict(max_iters=iters, val_interval=13500)

warmup, steps = _base_.param_scheduler
milestones = [iters * 27 // 36, iters * 33 // 36]  # 50625, 61875
param_scheduler = [warmup, dict(steps, end=iters, milestones=milestones)]

optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
del iters, warmup, steps, milestones  # not keys of the config
