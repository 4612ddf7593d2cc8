"""Swin Transformer V2 (arXiv 2111.09883) for OpenMMLab."""

from importlib import import_module

from .upstream import when_mmengine_is_imported

__version__ = "0.1.0"  # setup.py reads it without importing the package

# Imported on first use, so that `mmswinv2.layers` needs nothing but torch.
_EXPORTS = {
    "SwinTransformerV2": "models",
    "SimMIM": "models",
    "ImageClassifier": "models",
    "LayerDecayOptimWrapperConstructor": "engine",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)


when_mmengine_is_imported()
