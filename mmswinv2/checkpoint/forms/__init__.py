"""The forms in which SwinV2 weights are published; to add one, write a :class:`Form` and list it here."""

from .form import Form, StateDict, num_stages
from .huggingface import HuggingFace
from .mmpretrain import MMPretrain
from .native import PRETRAINED_WINDOWS, Native
from .official import FeatureDistillation, Official
from .timm import Timm
from .torchvision import Torchvision

# Asked in this order: the later ones take whatever has the official names.
FORMS: tuple[Form, ...] = (
    HuggingFace(),
    Torchvision(),
    MMPretrain(),
    Native(),
    Timm(),
    FeatureDistillation(),
    Official(),
)

__all__ = ["FORMS", "PRETRAINED_WINDOWS", "Form", "StateDict", "num_stages"]
