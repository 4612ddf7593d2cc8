"""Turns MMEngine's error for an unknown ``type`` into one that says where it stands and what is meant."""

import re
import traceback
from collections.abc import Iterator
from difflib import SequenceMatcher

import mmengine.registry
from mmengine.config import Config
from mmengine.registry import Registry

from ..errors import ConfigError

# MMEngine's build functions; mmcv's for norms, convolutions and the like, which look into MODELS.
NOT_REGISTERED = re.compile(r"^([\w.]+) is not in the (?:\w+::)?(.+?) registry")
NOT_FOUND = re.compile(r"^Cannot find .* in registry under scope")
NEAR = 0.7


def explain_unknown_type(error: KeyError, cfg: Config) -> ConfigError | None:
    """The error to raise instead; None if ``error`` is about something else."""
    message = str(error.args[0]) if error.args else ""
    if match := NOT_REGISTERED.match(message):
        name, registry = match.groups()
    elif NOT_FOUND.match(message):
        name, registry = _type_being_built(error), "model"
    else:
        return None
    parts = {"model": cfg.get("model")} if registry == "model" else cfg.to_dict()
    where = " and ".join(f"{key}.type" for key in _keys_with_type(parts, name)) or "the config"
    return ConfigError(f"{where}: there is no {registry} of type {name!r}; {_advice(name, registry, cfg)}")


def _type_being_built(error: KeyError) -> str:
    """The ``type`` in the function that raised: mmcv's messages say None in its place."""
    frame = list(traceback.walk_tb(error.__traceback__))[-1][0]
    return str(frame.f_locals["cfg"]["type"])


def _advice(name: str, registry: str, cfg: Config) -> str:
    """What the user may have meant: a type of the same kind if one is near, else of any kind."""
    scope = cfg.get("default_scope")
    roots = [root for root in vars(mmengine.registry).values() if isinstance(root, Registry)]
    near = nearest_type(name, [root for root in roots if root.name == registry], scope)
    if near:
        return f"did you mean {near!r}?"
    for root in roots:
        near = nearest_type(name, [root], scope)
        if near:
            return f"the nearest name is {near!r}, of the registry for {root.name!r}"
    return "no registered name is near it: is the module that defines it imported?"


def nearest_type(name: str, registries: list[Registry], scope: str | None) -> str | None:
    """The name nearest to ``name`` among those registered in ``registries`` and their children, None if none is near.

    Names of scopes other than ``scope`` and the root's come with their scope, as a config writes them.
    """
    known = {display for registry in registries for display in _registered(registry, scope)}
    best = max(sorted(known), key=lambda display: _likeness(name, display), default=None)
    return best if best and _likeness(name, best) >= NEAR else None


def _registered(registry: Registry, scope: str | None) -> Iterator[str]:
    plain = registry.parent is None or registry.scope == scope
    registry.import_from_location()
    for name in registry.module_dict:
        yield name if plain else f"{registry.scope}.{name}"
    for child in registry.children.values():
        yield from _registered(child, scope)


def _likeness(name: str, display: str) -> float:
    """1 for equal names; the scope counts only between names that are otherwise alike."""
    bare = SequenceMatcher(None, name.split(".")[-1].lower(), display.split(".")[-1].lower()).ratio()
    return bare + 1e-3 * SequenceMatcher(None, name, display).ratio()


def _keys_with_type(node: object, name: str, key: str = "") -> Iterator[str]:
    """Config keys of the dicts whose ``type`` is ``name``."""
    if isinstance(node, dict):
        if node.get("type") == name:
            yield key
        items = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    else:
        return
    for part, value in items:
        yield from _keys_with_type(value, name, f"{key}.{part}" if key else str(part))
