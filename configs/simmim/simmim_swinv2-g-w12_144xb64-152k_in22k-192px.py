# SimMIM, SwinV2-G (3.0 billion parameters), window 12, 192 px: 152k iterations at batch 9216 (144 GPUs x 64 images), lr
# 1.4e-3. Source: stage 1 of SwinV2-G in arXiv 2111.09883, appendix A2.2, on 70 million images of the authors;
# here on the 14 million of ImageNet-22k, 152000 * 9216 / 14197122 = 99 epochs.
# Inferred: window 12 and stochastic depth 0.1 as for B, and how GPUs share the batch.
# Weights, gradients and AdamW's two moments are 3.0e9 * 16 bytes = 48 GB on each GPU.
_base_ = [
    "../_base_/models/simmim_swinv2.py",
    "../_base_/datasets/imagenet22k_simmim_192.py",
    "../_base_/schedules/simmim_152k_bs9216.py",
    "../_base_/runtime/mmengine.py",
]

model = dict(backbone=dict(arch="giant", with_cp=True))

# 144 GPUs x 64 images = 9216 images an iteration
train_dataloader = dict(batch_size=64, sampler=dict(infinite=True))
log_processor = dict(by_epoch=False)
