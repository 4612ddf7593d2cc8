"""Training: groups of parameters, loops and samplers that resume exactly, and hooks that lose no work."""

from .checkpoint_hook import WholeCheckpointHook
from .finite_loss import FiniteLossHook
from .layer_decay import LayerDecayOptimWrapperConstructor
from .preemption import PreemptionHook
from .resumable_loops import ResumableEpochLoop, ResumableIterLoop
from .resumable_sampler import ResumableBatchSampler, ResumableSampler, SeededIndex
from .strategies import PartedOptimizerRunner, ShardedRunner

__all__ = [
    "FiniteLossHook",
    "LayerDecayOptimWrapperConstructor",
    "PartedOptimizerRunner",
    "PreemptionHook",
    "ResumableBatchSampler",
    "ResumableEpochLoop",
    "ResumableIterLoop",
    "ResumableSampler",
    "SeededIndex",
    "ShardedRunner",
    "WholeCheckpointHook",
]
