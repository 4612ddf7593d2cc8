"""What was measured, in ``results.json``: written after each case, so that a run that is stopped loses one at most."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError

FILE = "results.json"
FIXED = ("settings", "machine", "versions")  # what all cases of a file have in common


class Results:
    """The results in a folder.

    Args:
        folder: It is made if it does not exist. Where it has results of the same run, the run goes on.
        facts: ``settings``, ``machine`` and ``versions``, which do not change in a folder, and ``commands``.

    Raises:
        ConfigError: The folder cannot be written to, or has the results of another run.
        DataError: Its file of results cannot be read.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.path = folder / FILE
        self.data: dict[str, Any] = {**json.loads(json.dumps(facts)), "cases": []}  # tuples as lists, as they are read
        if self.path.exists():
            self._go_on(_read(self.path))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._write()
        except OSError as error:
            raise ConfigError(f"--out {folder} cannot be written to: {error.strerror}") from error

    def has(self, name: str) -> bool:
        """Whether a case was measured already."""
        return any(case["name"] == name for case in self.data["cases"])

    def add(self, case: Mapping[str, Any]) -> None:
        """Adds a case and writes the file."""
        self.data["cases"].append(case)
        self._write()

    def _go_on(self, found: Mapping[str, Any]) -> None:
        for name in FIXED:
            if found.get(name) != self.data[name]:
                raise ConfigError(
                    f"{self.path} has the results of another run ({_differing(found.get(name), self.data[name])}): "
                    "name another folder with --out, or remove the file"
                )
        self.data["cases"] = found["cases"]
        self.data["commands"] = list(dict.fromkeys([*found["commands"], *self.data["commands"]]))

    def _write(self) -> None:
        unfinished = self.path.with_suffix(".part")
        unfinished.write_text(json.dumps(self.data, indent=1))
        os.replace(unfinished, self.path)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        if isinstance(found, dict) and isinstance(found.get("cases"), list):
            return found
        reason = "it has no list of cases"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise DataError(f"{path} is no file of benchmark results: {reason}")


def _differing(found: Any, asked: Mapping[str, Any]) -> str:
    found = found if isinstance(found, dict) else {}
    names = (name for name in {**asked, **found} if found.get(name) != asked.get(name))
    return next(f"its {name} is {found.get(name)}, now {asked.get(name)}" for name in names)
