"""The names that a ``type`` in a config can have, and which of them a misspelt one may mean."""

import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

from ..errors import ConfigError

# MMEngine's build functions; mmcv's for norms, convolutions and the like, which look into MODELS.
NOT_REGISTERED = re.compile(r"^([\w.]+) is not in the (?:\w+::)?(.+?) registry")
NOT_FOUND = re.compile(r"^Cannot find .* in registry under scope")
NEAR = 0.7
NAME = re.compile(r"\w+(\.\w+)*")


def find_type(name: str, registry: Registry, scope: str | None) -> Any:
    """Returns the class or function that a registry has by a name; None if it has none.

    Args:
        name: As a config writes it, with its scope or without.
        registry: One of MMEngine's own registries.
        scope: The scope in which the part of the config is built; None: MMEngine's.
    """
    if not NAME.fullmatch(name):
        return None
    return _scoped(registry, scope).get(name)


@lru_cache
def _scoped(registry: Registry, scope: str | None) -> Registry:
    """Returns the registry of a scope. MMEngine waits a thousandth of a second each time that it switches there."""
    with registry.switch_scope_and_registry(scope) as scoped:
        return scoped


def is_operator(name: str) -> bool:
    """Whether mmcv has an operator of a name, such as RoIAlign or nms, which configs name without a registry."""
    import mmcv.ops  # here, because a run without detection or segmentation does not need it

    return hasattr(mmcv.ops, name)


def unknown_operator(name: str) -> str:
    """Says that mmcv has no such operator, and which one is near."""
    import mmcv.ops

    near = get_close_matches(name, dir(mmcv.ops), n=1)
    return f"mmcv has no operator {name!r}; " + (f"did you mean {near[0]!r}?" if near else "see mmcv.ops")


def explain_unknown_type(error: KeyError, cfg: Config) -> ConfigError | None:
    """Returns the error to raise instead of MMEngine's; None if ``error`` is about something else.

    A type that stands in a config was found before (:func:`mmswinv2.preflight.check_settings`). This is for one that
    comes up later, in a part of the config whose use is known to its class alone.
    """
    message = str(error.args[0]) if error.args else ""
    if match := NOT_REGISTERED.match(message):
        unknown, registry = [match[1]], match[2]
    elif NOT_FOUND.match(message):  # mmcv's message says None in the place of the type
        unknown, registry = _unregistered_types(cfg), "model"
    else:
        return None
    parts = {"model": cfg.get("model")} if registry == "model" else cfg.to_dict()
    roots = [root for root in roots_of_all() if root.name == registry]
    sentences = []
    for name in unknown:
        where = " and ".join(f"{key}.type" for key, kind in types_in(parts) if kind == name) or "the config"
        sentences.append(f"{where}: {unknown_type(name, registry, roots, cfg.get('default_scope'))}")
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
    known = {name.split(".")[-1] for root in roots_of_all() for name in _registered(root, cfg.get("default_scope"))}
    types = dict.fromkeys(name for _, name in types_in({"model": cfg.get("model")}))
    return [name for name in types if name.split(".")[-1] not in known and not is_operator(name)]


def roots_of_all() -> list[Registry]:
    """Returns MMEngine's own registries. Those of all other packages are their children."""
    return [root for root in vars(mmengine.registry).values() if isinstance(root, Registry)]


def unknown_type(name: str, kind: str, registries: Iterable[Registry], scope: str | None) -> str:
    """Says that there is no such type, and what the user may have meant: one of the same kind if one is near.

    Args:
        name: The type.
        kind: What it was looked for as, such as ``model``.
        registries: MMEngine's own registries that were looked into.
        scope: The scope of the config.
    """
    sentence = f"there is no {kind} of type {name!r}; "
    package = name.partition(".")[0]
    if package in MODULE2PACKAGE and find_spec(package) is None:
        return f"{sentence}the package {package} is not installed"
    near = nearest_type(name, registries, scope)
    if near:
        return f"{sentence}did you mean {near!r}?"
    for root in roots_of_all():
        near = nearest_type(name, [root], scope)
        if near:
            return f"{sentence}the nearest name is {near!r}, of the registry for {root.name!r}"
    return f"{sentence}no registered name is near it: is the module that defines it imported?"


def nearest_type(name: str, registries: Iterable[Registry], scope: str | None) -> str | None:
    """Returns the name nearest to ``name`` in ``registries`` and their children; None if none is near.

    It comes with its scope, as a config writes it, unless that is ``scope`` or the root's.
    """
    bare = SequenceMatcher(b=name.rpartition(".")[2].lower())
    best, likeness = None, NEAR
    for display in sorted({display for registry in registries for display in _registered(registry, scope)}):
        bare.set_seq1(display.rpartition(".")[2].lower())
        if bare.real_quick_ratio() < likeness or bare.quick_ratio() < likeness:
            continue
        # The scope only breaks ties.
        ratio = bare.ratio() + 1e-3 * SequenceMatcher(None, name, display).ratio()
        if ratio > likeness:
            best, likeness = display, ratio
    return best


def _registered(registry: Registry, scope: str | None) -> Iterator[str]:
    plain = registry.parent is None or registry.scope == scope
    registry.import_from_location()
    for name in registry.module_dict:
        yield name if plain else f"{registry.scope}.{name}"
    for child in registry.children.values():
        yield from _registered(child, scope)
