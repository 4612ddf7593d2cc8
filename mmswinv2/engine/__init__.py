"""Training machinery: optimizer groups and checks before a run."""

from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = ["LayerDecayOptimWrapperConstructor"]
