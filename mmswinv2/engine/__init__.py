"""Training machinery: optimizer groups, checks before a run, loops that resume exactly."""

from .layer_decay import LayerDecayOptimWrapperConstructor
from .preflight import ConfigError, DataCheckHook
from .resumable_loops import ResumableEpochLoop, ResumableIterLoop
from .resumable_sampler import ResumableSampler, SeededIndex
from .weights_check_hook import WeightsCheckHook, check_weights

__all__ = [
    "ConfigError",
    "DataCheckHook",
    "LayerDecayOptimWrapperConstructor",
    "ResumableEpochLoop",
    "ResumableIterLoop",
    "ResumableSampler",
    "SeededIndex",
    "WeightsCheckHook",
    "check_weights",
]
