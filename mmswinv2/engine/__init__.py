"""Training: groups of parameters, and loops and a sampler that resume exactly."""

from .finite_loss import FiniteLossHook
from .layer_decay import LayerDecayOptimWrapperConstructor
from .resumable import ResumableEpochLoop, ResumableIterLoop, ResumableSampler, SeededIndex

__all__ = [
    "FiniteLossHook",
    "LayerDecayOptimWrapperConstructor",
    "ResumableEpochLoop",
    "ResumableIterLoop",
    "ResumableSampler",
    "SeededIndex",
]
