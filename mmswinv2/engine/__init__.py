"""Training machinery: optimizer groups and checks before a run."""

from .layer_decay import LayerDecayOptimWrapperConstructor
from .preflight import ConfigError, DataCheckHook

__all__ = ["ConfigError", "DataCheckHook", "LayerDecayOptimWrapperConstructor"]
