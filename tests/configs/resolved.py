"""What every config resolves to, kept in ``resolved.json``.

A config is stored as lines "key: value", one for each leaf, where it differs from the config that it is ``like``: the
nearest of those before it. null takes a key away. Environment variables stay as they are written.

After a change that is meant, renew the file and read its diff::

    python -m tests.configs.resolved --write
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from ..support import ROOT

SNAPSHOT = Path(__file__).with_name("resolved.json")
FOLDER = ROOT / "configs"

Leaves = dict[str, str]


def config_names() -> list[str]:
    """Every config but the parts in ``_base_``, as ``folder/name.py``."""
    paths = (path.relative_to(FOLDER) for path in FOLDER.rglob("*.py"))
    return sorted(path.as_posix() for path in paths if path.parts[0] != "_base_")


def resolve(name: str) -> Leaves:
    """Every leaf of a config and the ``repr`` of its value."""
    config = Config.fromfile(FOLDER / name, use_environment_variables=False, import_custom_modules=False)
    return dict(_leaves("", config.to_dict()))


def _leaves(key: str, value: object) -> Iterator[tuple[str, str]]:
    """A list's items are ``key[0]``, ``key[1]``, ..., a tuple's ``key(0)``; those of numbers and strings stay whole."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(f"{key}.{name}" if key else name, item)
    elif isinstance(value, list | tuple) and any(isinstance(item, dict | list | tuple) for item in value):
        left, right = "[]" if isinstance(value, list) else "()"
        for index, item in enumerate(value):
            yield from _leaves(f"{key}{left}{index}{right}", item)
    else:
        yield key, repr(value)


def read() -> dict[str, Leaves]:
    """The leaves of every config in the snapshot."""
    configs: dict[str, Leaves] = {}
    for name, entry in json.loads(SNAPSHOT.read_text()).items():
        leaves = {**configs.get(entry["like"], {}), **entry["values"]}
        configs[name] = {key: value for key, value in leaves.items() if value is not None}
    return configs


def write() -> None:
    configs: dict[str, Leaves] = {}
    entries = {}
    for name in config_names():
        leaves = resolve(name)
        changes = {other: differences(configs[other], leaves) for other in configs}
        like = min(changes, key=lambda other: len(changes[other]), default=None)
        values = differences(configs[like], leaves) if like else leaves
        entries[name] = dict(like=like, values=dict(sorted(values.items())))
        configs[name] = leaves
    SNAPSHOT.write_text(json.dumps(entries, indent=1) + "\n")


def differences(before: Leaves, after: Leaves) -> dict[str, str | None]:
    """Each key whose value is another, with the value afterwards; None where there is none."""
    return {key: after.get(key) for key in sorted({*before, *after}) if before.get(key) != after.get(key)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Renews the snapshot of what the configs resolve to.")
    parser.add_argument("--write", action="store_true", required=True, help=f"write {SNAPSHOT.name}")
    parser.parse_args()
    write()
