"""Training machinery: optimizer groups and checks before a run."""

from .layer_decay import LayerDecayOptimWrapperConstructor
from .preflight import ConfigError, DataCheckHook
from .weights_check_hook import WeightsCheckHook, check_weights

__all__ = [
    "ConfigError",
    "DataCheckHook",
    "LayerDecayOptimWrapperConstructor",
    "WeightsCheckHook",
    "check_weights",
]
