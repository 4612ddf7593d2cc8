# A linear probe: only the last linear layer learns.
_base_ = "labels_flowers.py"

model = dict(backbone=dict(frozen_stages=3))
