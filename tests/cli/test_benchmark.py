"""``mmswinv2 benchmark`` as a user runs it."""

import argparse
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from mmswinv2.cli.benchmark import QUICK_CASES, cases_of, command_of
from mmswinv2.cli.benchmark import add_arguments as add_benchmark_arguments

from ..support import ROOT
from .support import command, run_tool

TOOL = "benchmark.py"
CHOICE = ["--contenders", "mmswinv2", "timm", "--sizes", "64x64", "--windows", "8", "--modes", "inference"]


def run_here(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """Runs the tool in this process and returns its status."""
    monkeypatch.setattr(sys, "argv", command(TOOL, *arguments)[1:])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools" / TOOL), run_name="__main__")
    return end.value.code


@pytest.mark.full
def test_a_run_leaves_table_and_pictures_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*CHOICE, "--threads", 1, "--rounds", 1, "--out", tmp_path / "out"]
    first = run_tool(TOOL, *arguments, root=tmp_path, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files >= {"results.json", "results.md", "throughput.png", "memory.png"}
    results = json.loads((tmp_path / "out/results.json").read_text())
    (case,) = results["cases"]
    assert case["name"] == "inference 64x64 w8"
    assert [row["contender"] for row in case["rows"]] == ["mmswinv2", "timm"]
    assert all(row["failure"] is None and max(row["differences"]) < 1e-5 for row in case["rows"])
    assert results["versions"]["timm"] and results["machine"]["threads"] == 1
    assert str(tmp_path) not in json.dumps(results)

    (tmp_path / "out/results.md").unlink()
    assert run_here(*arguments, monkeypatch=monkeypatch) is None
    assert json.loads((tmp_path / "out/results.json").read_text()) == results, "a case was measured again"
    assert (tmp_path / "out/results.md").is_file()

    assert run_here(*arguments, "--seed", 1, monkeypatch=monkeypatch) == 2
    assert "has the results of another run (its seed is 0, now 1)" in capsys.readouterr().err


CASES = {
    "contender": (["--contenders", "tim"], "--contenders 'tim' is unknown: did you mean 'timm'?"),
    "size": (["--sizes", "512"], "--sizes '512' is no size: write HEIGHTxWIDTH in pixels, such as 800x1344"),
    "size that not all take": (["--sizes", "500x500"], "each side must be a multiple of 32"),
    "window": (["--windows", "none"], "--windows 'none' is no window"),
    "mode": (["--modes", "training"], "--modes 'training' is unknown: did you mean 'train'?"),
    "arch": (["--arch", "tinny"], "unknown arch 'tinny'"),
    "batch": (["--batch", "0"], "--batch must be at least 1, got 0"),
    "rounds": (["--rounds", "-1"], "--rounds must be at least 1, got -1"),
    "no GPU": (["--device", "cuda"], "--device cuda: torch finds no GPU"),
    "quick and more": (["--quick", "--sizes", "64x64"], "--quick fixes what is measured: leave out --sizes"),
    "folder": (["--out", "file/folder"], "--out file/folder cannot be written to: Not a directory"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_before_anything_is_built(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = CASES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    Path("file").write_text("")
    assert run_here("--out", "out", *arguments, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err
    assert error.startswith("mmswinv2 benchmark: ") and message in error
    assert len(error.strip().splitlines()) == 1
    assert not Path("out").exists()


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_benchmark_arguments(parser)
    return parser.parse_args([*words, "--out", "somewhere"])


def test_quick_is_what_it_says() -> None:
    names = [case.name for case in cases_of(parse("--quick"))]
    assert names == ["inference 512x512 w8", "inference 512x512 w16", "train 256x256 w8"]
    assert len(QUICK_CASES) == 2


def test_the_command_can_be_run_again() -> None:
    words = command_of(parse("--sizes", "64x64", "--quick")).split()
    assert words[:2] == ["mmswinv2", "benchmark"]
    assert vars(parse(*words[2:])) == vars(parse("--sizes", "64x64", "--quick"))
