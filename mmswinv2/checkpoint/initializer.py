"""``init_cfg=dict(type='Pretrained', ...)`` of the backbone."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import update_init_info
from torch import nn

from .loading import load_pretrained

KEYS = ("checkpoint", "prefix", "map_location", "allow_partial")


class PretrainedSwinV2:
    """MMEngine's ``Pretrained`` for every public form of SwinV2; arguments as in :func:`load_pretrained`."""

    def __init__(
        self, checkpoint: str, prefix: str | None = None, map_location: str = "cpu", allow_partial: bool = False
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.map_location = map_location
        self.allow_partial = allow_partial

    def __call__(self, module: nn.Module) -> None:
        load_pretrained(module, self.checkpoint, self.prefix, self.map_location, self.allow_partial)
        if hasattr(module, "_params_init_info"):  # MMEngine's record of who initialised what
            update_init_info(module, init_info=f"{type(self).__name__}: load from {self.checkpoint}")


def read_any_form(init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]] | None:
    """MMEngine's ``init_cfg`` with every ``Pretrained`` read by :class:`PretrainedSwinV2`, after all others.

    Raises:
        ValueError: ``Pretrained`` without ``checkpoint`` or with an unknown key.
    """
    if not init_cfg:
        return None
    entries = [dict(init_cfg)] if isinstance(init_cfg, Mapping) else [dict(entry) for entry in init_cfg]
    pretrained = [entry for entry in entries if entry.get("type") == "Pretrained"]
    for entry in pretrained:
        _check_keys(entry)
        entry["type"] = PretrainedSwinV2
    return [*(entry for entry in entries if entry not in pretrained), *pretrained]


def _check_keys(entry: Mapping[str, Any]) -> None:
    unknown = sorted(set(entry) - {"type", *KEYS})
    if unknown or not entry.get("checkpoint"):
        fault = f"does not know {', '.join(unknown)}" if unknown else "needs checkpoint"
        raise ValueError(f"init_cfg of type 'Pretrained' {fault}; its keys are {', '.join(KEYS)}")
