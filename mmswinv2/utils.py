"""What MMEngine's hub calls by this module's name: ``get_model('mmswinv2::...')`` needs it."""

from importlib import import_module

from mmengine.registry import init_default_scope as set_default_scope


def register_all_modules(init_default_scope: bool = False) -> None:
    """Registers all models, data sets, transforms, hooks, loops, samplers, metrics and constructors of this package.

    Args:
        init_default_scope: Makes ``mmswinv2`` the scope of types without one. The recipes do not need it: their
            default scope is that of MMDetection, MMSegmentation or MMEngine.
    """
    for package in ("models", "datasets", "engine", "evaluation", "preflight"):
        import_module(f"mmswinv2.{package}")
    if init_default_scope:
        set_default_scope("mmswinv2")
