# Classifier with a SwinV2-T backbone. Source: the official release (config.py, swinv2_tiny_patch4_window8_256): Mixup
# 0.8, CutMix 1.0, label smoothing 0.1, stochastic depth 0.2 for T. Averaged weights (EMA) are not part of it.
num_classes = 1000
model = dict(
    type="mmswinv2.ImageClassifier",
    backbone=dict(type="mmswinv2.SwinTransformerV2", arch="tiny", window_size=8, out_indices=(3,), drop_path_rate=0.2),
    num_classes=num_classes,
    data_preprocessor=dict(
        type="mmswinv2.MixupPreprocessor",
        num_classes=num_classes,
        mixup_alpha=0.8,
        cutmix_alpha=1.0,
        label_smoothing=0.1,
    ),
)
del num_classes  # not a key of the config
