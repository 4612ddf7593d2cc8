# Frames of driving videos at half their size, 240 x 180 px, cut into squares of 128 px for training: windows of 8 on
# maps of 32, 16 and 8 tokens.
_base_ = ["./bias_upernet.py", "../_base_/datasets/camvid_semantic.py"]

num_classes = len(_base_.metainfo.classes)
model = dict(decode_head=dict(num_classes=num_classes), auxiliary_head=dict(num_classes=num_classes))
del num_classes  # not a key of the config
