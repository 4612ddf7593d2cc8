# 36 epochs = 36 * 117266 images with objects / 16 images an iteration = 263880 iterations; lr / 10 after 27 and 33.
_base_ = "./coco_1x.py"

epochs = 36
train_cfg = dict(max_epochs=epochs)

warmup, steps = _base_.param_scheduler
param_scheduler = [warmup, dict(steps, end=epochs, milestones=[27, 33])]
del epochs, warmup, steps  # not keys of the config
