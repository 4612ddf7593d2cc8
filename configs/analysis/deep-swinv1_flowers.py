# Swin V1 with the same sizes and training as its sibling. The gains of its norms begin at 1, not at 0. So they have
# the learning rate of everything else, not ten times that.
_base_ = "./deep-swinv2_flowers.py"

model = dict(backbone=dict(norm="pre", attention="dot", position_bias="table"))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(_delete_=True)))
