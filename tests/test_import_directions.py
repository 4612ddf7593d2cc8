"""The rooms of the package: which may import which, so that a reader can follow a thing in one direction."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import ROOT

PACKAGE = ROOT / "mmswinv2"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 350  # lines of a module that can be read at one sitting

# A room and those below it. What stands in no room (errors, arch, registry, ...) is a room of its own.
BASE = {"errors", "upstream"}
BELOW = {
    "": {"upstream"},  # mmswinv2/__init__.py
    "errors": set(),
    "upstream": set(),
    "arch": {"errors"},
    "registry": set(),
    "utils": {"registry"},
    "layers": set(),
    "checkpoint": {*BASE, "arch", "layers"},
    "models": {*BASE, "registry", "arch", "layers", "checkpoint"},
    "datasets": {*BASE, "registry"},
    "evaluation": {*BASE, "registry"},
    "engine": {*BASE, "registry", "layers", "checkpoint", "models", "datasets"},
    "analysis": {*BASE, "registry", "arch", "layers", "checkpoint", "models"},
    "benchmark": {*BASE, "", "registry", "arch", "layers", "checkpoint", "models", "engine"},
    "plan": {*BASE, "registry", "arch", "layers", "checkpoint", "models", "benchmark"},
    "preflight": {*BASE, "registry", "arch", "layers", "checkpoint", "models", "datasets"},
    "cli": {
        *BASE,
        "",
        "registry",
        "arch",
        "layers",
        "checkpoint",
        "models",
        "datasets",
        "analysis",
        "benchmark",
        "plan",
        "preflight",
        "engine",
    },
    "__main__": {"cli"},
}


def room(module: Path) -> str:
    """The folder of a module, or its own name where it stands in the package itself."""
    first = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_rooms(module: Path) -> Iterator[str]:
    """The rooms of this package that a module imports, at its top or in a function."""
    parents = module.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom):
            inside = (node.module or "").split(".")
            if node.level == len(parents) + 1:
                # `from .. import x`: x is a room, or something of the package itself
                names = inside[:1] if node.module else [alias.name for alias in node.names]
                yield from (name if name in BELOW else "" for name in names)
            elif node.level > len(parents) + 1 or (node.level == 0 and inside[0] == "mmswinv2"):
                raise AssertionError(f"{module}:{node.lineno}: imports within the package are relative")
        elif isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] != "mmswinv2" for alias in node.names), f"{module}:{node.lineno}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(module: Path) -> None:
    """An arrow upwards means that a thing is in the wrong room."""
    own = room(module)
    assert set(imported_rooms(module)) <= BELOW[own] | {own}


def test_no_room_is_below_itself() -> None:
    """The table above has an order: each room can be read when those below it are known."""
    left = {name: set(below) for name, below in BELOW.items()}
    while left:
        known = [name for name, below in left.items() if not below & set(left)]
        assert known, f"a circle among {sorted(left)}"
        for name in known:
            del left[name]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_read_at_one_sitting(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= LONGEST
