"""Training: groups of parameters, and loops and a sampler that resume exactly."""

from .layer_decay import LayerDecayOptimWrapperConstructor
from .resumable import ResumableEpochLoop, ResumableIterLoop, ResumableSampler, SeededIndex

__all__ = [
    "LayerDecayOptimWrapperConstructor",
    "ResumableEpochLoop",
    "ResumableIterLoop",
    "ResumableSampler",
    "SeededIndex",
]
