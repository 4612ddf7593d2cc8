"""What the registries expose."""

from .image_classifier import ImageClassifier
from .mixup import MixupPreprocessor
from .simmim import SimMIM
from .swin_transformer_v2 import SwinTransformerV2

__all__ = ["ImageClassifier", "MixupPreprocessor", "SimMIM", "SwinTransformerV2"]
