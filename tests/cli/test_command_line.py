"""The command ``mmswinv2``: its help, its commands, and what it says of one that there is not."""

import os
import runpy
import subprocess
import sys
import time

import pytest

from mmswinv2 import __version__, cli
from mmswinv2.cli import COMMANDS, main

from ..support import ROOT

TOOLS = {"convert_checkpoint": "convert", "inspect_checkpoint": "inspect", "index_shards": "shards index"}
TOOLS |= {"make_shards": "shards make", "train": "train", "test": "test", "infer": "infer", "benchmark": "benchmark"}
TOOLS |= {"get_flops": "flops", "check": "check", "plan": "plan"}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_help_tells_all_commands_without_loading_anything() -> None:
    """Under a second; what takes longer is torch and OpenMMLab, which it must not import."""
    script = "import sys; sys.argv = ['mmswinv2', '--help']; import runpy, atexit; "
    script += "atexit.register(lambda: print(sorted({'torch', 'mmengine', 'numpy'} & set(sys.modules)))); "
    script += "runpy.run_module('mmswinv2', run_name='__main__')"
    start = time.perf_counter()
    done = python("-c", script)
    assert time.perf_counter() - start < 5  # it takes 0.1 s; a loaded machine gets some room
    assert done.returncode == 0
    *story, imported = done.stdout.splitlines()
    assert imported == "[]"
    assert [line.split()[0] for line in story if line.startswith("  ")] == list(COMMANDS)


def test_version_is_printed() -> None:
    assert python("-m", "mmswinv2", "--version").stdout == f"mmswinv2 {__version__}\n"


def test_an_unknown_command_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["trian"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "mmswinv2: there is no command 'trian'; did you mean 'train'?\n"


@pytest.mark.parametrize(("name", "kind"), [("inspect", SystemExit), ("train", BrokenPipeError)])
def test_a_reader_that_has_seen_enough_is_no_fault(name: str, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``head`` is, at the end of a command that only prints. In a training it may be a worker that is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        monkeypatch.setattr(cli, "run", lambda name, rest: print("a line"))
        with pytest.raises(kind):
            main([name])
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "shards"])
def test_every_command_has_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: mmswinv2 {name} ")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_the_front_of_its_command(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hands its arguments on as they are."""
    calls: list[list[str]] = []
    monkeypatch.setattr(cli, "main", calls.append)
    monkeypatch.setattr(sys, "argv", [f"{tool}.py", "a.py", "--work-dir", "b c"])
    runpy.run_path(str(ROOT / f"tools/{tool}.py"), run_name="__main__")
    assert calls == [[*TOOLS[tool].split(), "a.py", "--work-dir", "b c"]]


@pytest.mark.full
def test_a_tool_runs_from_the_checkout() -> None:
    front, command = python("tools/check.py", "--help"), python("-m", "mmswinv2", "check", "--help")
    assert front.returncode == command.returncode == 0
    assert front.stdout == command.stdout
