"""Fills the registries. MMEngine's hub calls it by this module's name for ``get_model('mmswinv2::...')``."""

from mmengine.registry import Registry
from mmengine.registry import init_default_scope as set_default_scope

from . import registry


def register_all_modules(init_default_scope: bool = False) -> None:
    """Fills the registries of this package.

    Args:
        init_default_scope: Whether ``mmswinv2`` becomes the scope of types without one. The recipes do not need it:
            their default scope is that of MMDetection, MMSegmentation or MMEngine.
    """
    for member in vars(registry).values():
        if isinstance(member, Registry) and member.scope == "mmswinv2":
            member.import_from_location()
    if init_default_scope:
        set_default_scope("mmswinv2")
