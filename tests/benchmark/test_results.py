"""A run that is stopped goes on, and results of different runs do not mix."""

from pathlib import Path
from typing import Any

import pytest

from mmswinv2.benchmark.results import Results
from mmswinv2.errors import ConfigError, DataError


def facts(**changes: object) -> dict[str, Any]:
    return {
        "commands": ["mmswinv2 benchmark"],
        "settings": {"rounds": 5, "size": (1, 2)},
        "machine": {"cores": 2},
        "versions": {"torch": "2.13.0"},
        **changes,
    }


def test_goes_on(tmp_path: Path) -> None:
    Results(tmp_path / "new/folder", facts()).add({"name": "one"})
    again = Results(tmp_path / "new/folder", facts(commands=["mmswinv2 benchmark --sizes 64x64"]))
    assert again.has("one") and not again.has("two")
    assert again.data["commands"] == ["mmswinv2 benchmark", "mmswinv2 benchmark --sizes 64x64"]
    again.add({"name": "two"})
    assert [case["name"] for case in Results(tmp_path / "new/folder", facts()).data["cases"]] == ["one", "two"]


@pytest.mark.parametrize("name", ["settings", "machine", "versions"])
def test_refuses_results_of_another_run(name: str, tmp_path: Path) -> None:
    Results(tmp_path, facts()).add({"name": "one"})
    kept = (tmp_path / "results.json").read_text()
    with pytest.raises(ConfigError, match="its new is None, now 1"):
        Results(tmp_path, facts(**{name: {**facts()[name], "new": 1}}))
    assert (tmp_path / "results.json").read_text() == kept


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cases": 1}', "\0"])
def test_refuses_a_broken_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(DataError, match="is no file of benchmark results"):
        Results(tmp_path, facts())
    assert (tmp_path / "results.json").read_text() == text


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written to: Not a directory"):
        Results(tmp_path / "file/folder", facts())
