"""Models: the backbone, the classifier and SimMIM."""

from .backbone import SwinTransformerV2
from .classifier import ImageClassifier, MixupPreprocessor
from .simmim import SimMIM

__all__ = ["ImageClassifier", "MixupPreprocessor", "SimMIM", "SwinTransformerV2"]
