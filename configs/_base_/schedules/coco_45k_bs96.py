# 45000 iterations * 96 images / 117266 images with objects = 37 epochs.
# Source: SwinV2-G on COCO in arXiv 2111.09883, appendix A2.2: AdamW, lr 6e-4 at batch 96, weight decay 0.05.
# It names neither warm-up nor steps: they are those of coco_3x, lr / 10 after 27 and 33 of 36 parts. That the backbone
# has a tenth of the lr is published for SwinV2-L alone.
_base_ = "./coco_3x_bs64.py"

iters = 45000
train_cfg = dict(_delete_=True, type="mmswinv2.ResumableIterLoop", max_iters=iters, val_interval=2500)

warmup, steps = _base_.param_scheduler
milestones = [iters * 27 // 36, iters * 33 // 36]  # 33750, 41250
param_scheduler = [warmup, dict(steps, by_epoch=False, end=iters, milestones=milestones)]

optim_wrapper = dict(optimizer=dict(lr=6e-4))

# lr 6e-4 is for 96 images an iteration; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(base_batch_size=96)
del iters, warmup, steps, milestones  # not keys of the config
