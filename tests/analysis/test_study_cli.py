"""The command line of the studies: what it gives a study, and what it refuses before anything is trained."""

import os
from pathlib import Path

import pytest

from mmswinv2.analysis.study import ROOT
from mmswinv2.analysis.study_cli import SOURCES, Choices, data_root, main
from mmswinv2.errors import USER_ERROR


class Started(list[Choices]):
    """A study that only notes what it was given."""

    def __call__(self, choices: Choices) -> None:
        self.append(choices)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """In a folder of the user's, with data beside it."""
    (tmp_path / "data/camvid").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MMSWINV2_DATA", "../data")
    return Started()


def run(started: Started, monkeypatch: pytest.MonkeyPatch, *words: str, **needs: tuple[str, ...]) -> None:
    monkeypatch.setattr("sys.argv", ["study.py", *words])
    main("study", started, "What it does.", **{"needs": ("camvid",), **needs})


def test_folders_are_those_that_the_user_means(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to where the command was given, though a study runs in the repository's folder."""
    run(started, monkeypatch, "--work-dir", "../out")
    assert started == [Choices(quick=False, seeds=range(3), work_dir=tmp_path / "out")]
    assert Path.cwd() == ROOT
    assert data_root() == tmp_path / "data"
    assert os.environ["MMSWINV2_DATA"] == str(tmp_path / "data")


def test_a_quick_study_may_need_less(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    run(started, monkeypatch, "--quick", needs=("flowers5",), quick_needs=())
    assert started == [Choices(quick=True, seeds=range(2), work_dir=ROOT / "work_dirs/analysis/study-quick")]


@pytest.mark.parametrize(
    ("words", "needs", "message"),
    [
        (("--seeds", "1"), ("camvid",), "study: --seeds 1: one seed has no spread, give at least 2"),
        ((), ("camvid", "flowers5"), f"flowers5 (from {SOURCES['flowers5']}). Set MMSWINV2_DATA to the folder"),
        (("--quick",), ("flowers5",), "data is missing"),
        (("--work-dir", "a,b"), ("camvid",), "a,b has a comma in its name"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(
    words: tuple[str, ...],
    needs: tuple[str, ...],
    message: str,
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(started, monkeypatch, *words, needs=needs)
    assert stopped.value.code == USER_ERROR
    assert message in capsys.readouterr().err
    assert not started
