"""The settings of a config: the mistakes that can be seen in them alone, before anything is built or read."""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config

from ...errors import ConfigError
from ..channels import channel_faults
from .backbones import backbone_faults
from .components import Component, components
from .loops import group_faults, loop_faults, schedule_faults, schedule_remarks
from .metrics import best_faults, metric_faults
from .names import former_remarks, inside_faults, keyword_faults, top_level_faults
from .numbers import number_faults
from .shapes import sound_parts

SCOPES = ("mmengine", "mmdet", "mmseg", "mmswinv2", "mmpretrain", "mmpose", "mmdet3d", "mmrotate", "mmocr", "mmcv")
OF_TRAINING = ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "auto_scale_lr")
OF_VALIDATION = ("val_dataloader", "val_cfg", "val_evaluator")


def check_settings(cfg: Config, training: bool = True) -> list[str]:
    """Checks all settings of a config, without building or reading anything that they name.

    Args:
        cfg: Any config.
        training: Whether to look at what a test does not use.

    Returns:
        Remarks on what may be meant but is unusual, a sentence each.

    Raises:
        ConfigError: Names all mistakes at once, each with its config key and what to do.
    """
    config = plain(cfg)
    sound, faults = sound_parts(config)
    faults += group_faults(config)
    if not training:
        sound = {name: value for name, value in sound.items() if name not in (*OF_TRAINING, *OF_VALIDATION)}
    faults += top_level_faults(sound)
    faults += inside_faults(sound)
    scope_fault = _scope_fault(sound.get("default_scope"))
    if scope_fault:
        raise _error([*faults, scope_fault])
    parts, unknown = components(sound, sound.get("default_scope"))
    faults += unknown
    faults += _faults_of(parts, sound)
    if faults:
        raise _error(faults)
    return [*former_remarks(sound), *schedule_remarks(sound, parts)]


def plain(node: Any) -> Any:
    """Returns a config as dicts, lists and tuples of Python's own."""
    if isinstance(node, dict | Config):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return tuple(plain(value) for value in node) if isinstance(node, tuple) else node


def _faults_of(parts: list[Component], sound: dict) -> Iterator[str]:
    for part in parts:
        yield from keyword_faults(part)
        yield from backbone_faults(part)
    yield from number_faults(parts, sound)
    yield from loop_faults(sound, parts)
    yield from schedule_faults(parts)
    yield from metric_faults(parts)
    yield from best_faults(parts)
    yield from channel_faults(sound.get("model") or {})


def _scope_fault(scope: str | None) -> str | None:
    """Says that there is no package for a scope, without which no type can be looked up."""
    if scope is None or scope in SCOPES[:1] or _is_package(scope):
        return None
    near = get_close_matches(scope, SCOPES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "is the package installed?"
    return f"default_scope: there is no package {scope!r}; {hint}"


def _is_package(name: str) -> bool:
    return name.isidentifier() and find_spec(name) is not None


def _error(faults: list[str]) -> ConfigError:
    faults = list(dict.fromkeys(faults))
    if len(faults) == 1:
        return ConfigError(faults[0])
    return ConfigError("\n  ".join([f"The config has {len(faults)} mistakes:", *faults]))
