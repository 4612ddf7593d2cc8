"""Turns MMEngine's error for an unknown ``type`` into one that says where it stands and what may be meant."""

import re
from collections.abc import Iterable, Iterator
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
    """Returns the error to raise instead; None if ``error`` is about something else."""
    message = str(error.args[0]) if error.args else ""
    if match := NOT_REGISTERED.match(message):
        unknown, registry = [match[1]], match[2]
    elif NOT_FOUND.match(message):  # mmcv's message says None in the place of the type
        unknown, registry = _unregistered_types(cfg), "model"
    else:
        return None
    parts = {"model": cfg.get("model")} if registry == "model" else cfg.to_dict()
    sentences = []
    for name in unknown:
        where = " and ".join(f"{key}.type" for key, kind in types_in(parts) if kind == name) or "the config"
        sentences.append(f"{where}: there is no {registry} of type {name!r}; {_advice(name, registry, cfg)}")
    return ConfigError("\n".join(sentences)) if sentences else None


def types_in(node: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields (config key, ``type``) for all dicts in a part of a config whose ``type`` is a name."""
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield key, node["type"]
        items: Iterable[tuple[object, object]] = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    else:
        return
    for part, value in items:
        yield from types_in(value, f"{key}.{part}" if key else str(part))


def _unregistered_types(cfg: Config) -> list[str]:
    """Returns the types in the model that neither a registry holds nor mmcv has as an operator, to be taken by name."""
    import mmcv.ops  # it imports here, because mmcv itself looked for a type

    known = {name.split(".")[-1] for root in _roots() for name in _registered(root, cfg.get("default_scope"))}
    types = dict.fromkeys(name for _, name in types_in({"model": cfg.get("model")}))
    return [name for name in types if name.split(".")[-1] not in known and not hasattr(mmcv.ops, name)]


def _roots() -> list[Registry]:
    """Returns MMEngine's own registries. Those of all other packages are their children."""
    return [root for root in vars(mmengine.registry).values() if isinstance(root, Registry)]


def _advice(name: str, registry: str, cfg: Config) -> str:
    """Says what the user may have meant: a type of the same kind if one is near, else of any kind."""
    scope = cfg.get("default_scope")
    near = nearest_type(name, [root for root in _roots() if root.name == registry], scope)
    if near:
        return f"did you mean {near!r}?"
    for root in _roots():
        near = nearest_type(name, [root], scope)
        if near:
            return f"the nearest name is {near!r}, of the registry for {root.name!r}"
    return "no registered name is near it: is the module that defines it imported?"


def nearest_type(name: str, registries: list[Registry], scope: str | None) -> str | None:
    """Returns the name nearest to ``name`` in ``registries`` and their children; None if none is near.

    It comes with its scope, as a config writes it, unless that is ``scope`` or the root's.
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
    """Returns how alike two names are, about 1 for equal ones. The scope only breaks ties."""
    bare = SequenceMatcher(None, name.split(".")[-1].lower(), display.split(".")[-1].lower()).ratio()
    return bare + 1e-3 * SequenceMatcher(None, name, display).ratio()
