"""The parts of a config that MMEngine builds, each with the class or function that its ``type`` means.

Where a dict stands decides which registry its type is looked up in. Dicts whose type MMEngine chooses by itself, such
as a data loader, are parts as well.
"""

from typing import Any, NamedTuple

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from ..types import find_type, is_operator, nearest_type, roots_of_all, unknown_operator, unknown_type
from .places import (
    BUILT,
    EVALUATOR,
    FOREIGN_TRANSFORMS,
    IMPLIED,
    INIT,
    METRIC,
    MODEL,
    NAMED_BY,
    NORM,
    OPERATORS,
    TOP,
    UNTOUCHED,
    Place,
    inner_place,
)
from .signatures import reads_key


class Component(NamedTuple):
    """A dict of the config and what is built from it.

    Attributes:
        key: Its config key.
        settings: The dict.
        target: The class or function.
        place: Where it stands.
        owner: What the dict around it builds, which may take keys out before; None at the top.
    """

    key: str
    settings: dict
    target: Any
    place: Place
    owner: Any = None


def components(config: dict, scope: str | None) -> tuple[list[Component], list[str]]:
    """Returns all parts of a config, and a sentence for each type that there is not.

    Args:
        config: The config, with the right containers.
        scope: Its default scope.
    """
    walk = _Walk()
    for name, place in TOP.items():
        if isinstance(config.get(name), dict | list | tuple):
            walk.visit(name, config[name], place, scope)
    return walk.found, walk.faults


class _Walk:
    """A walk through a config."""

    def __init__(self) -> None:
        self.found: list[Component] = []
        self.faults: list[str] = []

    def visit(self, key: str, node: object, place: Place, scope: str | None, owner: Any = None) -> None:
        """Looks at a value and all that is in it."""
        if isinstance(node, list | tuple):
            for index, item in enumerate(node):
                self.visit(f"{key}.{index}", item, place, scope, owner)
        elif isinstance(node, dict):
            scope = node["_scope_"] if isinstance(node.get("_scope_"), str) else scope
            target = self._target(key, node, place, scope, owner)
            if target is not None:
                self.found.append(Component(key, node, target, place, owner))
            if getattr(target, "__name__", "") not in FOREIGN_TRANSFORMS:
                self._visit_inside(key, node, place, scope, owner if target is None else target)

    def _visit_inside(self, key: str, node: dict, place: Place, scope: str | None, owner: Any) -> None:
        for name, value in node.items():
            if isinstance(value, str) and name in NAMED_BY:
                self._named(f"{key}.{name}", value, NAMED_BY[name], scope)
            elif isinstance(value, dict | list | tuple) and name not in UNTOUCHED:
                self.visit(f"{key}.{name}", value, inner_place(place, str(name), "type" in node), scope, owner)

    def _named(self, key: str, kind: str, place: Place, scope: str | None) -> None:
        if all(find_type(kind, root, scope) is None for root in place.roots):
            self.faults.append(f"{key}: {unknown_type(kind, place.kind, place.roots, scope)}")

    def _target(self, key: str, node: dict, place: Place, scope: str | None, owner: Any) -> Any:
        """Returns what is built from a dict; None if that is unknown or nothing."""
        kind = node.get("type")
        if not place.roots or kind is None:
            implied = _implied(key, node)
            if implied is None and place.certain and _lacks_type(key, node, place):
                self.faults.append(f"{key} has no type: write dict(type=..., ...), with the name of a {place.kind}")
            return implied
        if place is METRIC and "metrics" in node:
            place = EVALUATOR
        if not isinstance(kind, str):
            if callable(kind):
                return kind
            if place.certain:
                self.faults.append(f"{key}.type is {kind!r}, it must be the name of a {place.kind}")
            return None
        last = key.rpartition(".")[2]
        if last in OPERATORS:
            self.faults += [] if is_operator(kind) else [f"{key}.type: {unknown_operator(kind)}"]
            return None
        for root in place.roots:
            found = find_type(kind, root, scope)
            if found is not None:
                return found
        if place.certain or (not reads_key(owner, kind) and self._is_misspelt(kind, place, scope)):
            self.faults.append(f"{key}.type: {unknown_type(kind, place.kind, place.roots, scope)}")
        return None

    def _is_misspelt(self, kind: str, place: Place, scope: str | None) -> bool:
        """Whether a type that perhaps no registry has to know is known nowhere, but near to a known one."""
        if is_operator(kind) or any(find_type(kind, root, scope) is not None for root in roots_of_all()):
            return False
        return nearest_type(kind, place.roots, scope) is not None


def _lacks_type(key: str, node: dict, place: Place) -> bool:
    """Whether a dict without a type is to be built, and does not only hold others or come as a part of them."""
    if place in (MODEL, INIT, NORM):
        return key in BUILT
    holds_others = bool(node) and all(isinstance(value, dict | list | tuple | None) for value in node.values())
    return not (holds_others or (key in TOP and not node) or "metrics" in node)


def _implied(key: str, node: dict) -> Any:
    """Returns what MMEngine builds from a dict that has no type."""
    name = key.rpartition(".")[2]
    if key == "train_cfg":
        return EpochBasedTrainLoop if node.get("by_epoch", True) else IterBasedTrainLoop
    if name == "clip_grad":
        return clip_grad_value_ if node.get("type") == "value" else clip_grad_norm_
    if key.endswith("_dataloader"):
        return DataLoader
    return IMPLIED.get(key)
