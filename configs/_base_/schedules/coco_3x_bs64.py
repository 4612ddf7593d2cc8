# 36 epochs = 36 * 117266 images with objects / 64 images an iteration = 65962 iterations.
# Source: SwinV2-L on COCO in arXiv 2111.09883, appendix A2.1: AdamW, lr 4e-4 at batch 64, a tenth in the backbone,
# weight decay 0.05, 3x. It names neither warm-up nor steps: they are those of coco_3x.
_base_ = "./coco_3x.py"

optim_wrapper = dict(optimizer=dict(lr=4e-4), paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))

# lr 4e-4 is for 64 images an iteration; --auto-scale-lr scales it to what is used.
auto_scale_lr = dict(base_batch_size=64)
