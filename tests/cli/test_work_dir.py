"""Real trainings in one work dir: beside each other, after a kill, with another config, model or clock."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ..engine.tiny_training import CLASSIFIER, EPOCHS, training
from .small_run import ENDLESS, write_config
from .support import TIMEOUT, command, environment, run_tool
from .test_run_lock import holder
from .test_user_errors import refusal

Refuse = Callable[..., str]


def wait_for(path: Path, process: subprocess.Popen, log: Path) -> None:
    """Waits until a file is there, while a process runs that writes to a log."""
    deadline = time.monotonic() + TIMEOUT
    while not path.exists():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """Folder of a training with workers that was killed, its number, and what a second one beside it was told."""
    folder = tmp_path_factory.mktemp("runs")
    config = write_config(folder / "config.py", train_cfg=ENDLESS)
    options = ("--work-dir", folder / "work", "--cfg-options", "train_dataloader.num_workers=2")
    with open(folder / "log", "w") as log:
        start = command("train.py", config, *options)
        process = subprocess.Popen(start, cwd=folder, env=environment(folder), stdout=log, stderr=log)
    try:
        wait_for(folder / "work/iter_4.pth", process, folder / "log")
        second = run_tool("train.py", config, "--work-dir", "work", "--resume", root=folder, cwd=folder)
        assert second.returncode == 2 and "Traceback" not in second.stderr
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return folder, process.pid, second.stderr


@pytest.fixture
def refuse(
    killed: tuple[Path, int, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refuse:
    """Runs ``tools/train.py`` beside the killed run, in this process. It must refuse, and what it said is returned."""
    monkeypatch.chdir(killed[0])
    return partial(refusal, "train.py", monkeypatch=monkeypatch, capsys=capsys)


@pytest.mark.full
def test_a_run_goes_on_at_once_after_a_kill(killed: tuple[Path, int, str]) -> None:
    """Its lock ends with it, though its workers may live for seconds. What changed is said, and works."""
    folder, pid, second = killed
    assert f"at work in {folder}/work: process {pid} on " in second and "tools/train.py config.py" not in second
    newest = max(int(path.stem[5:]) for path in (folder / "work").glob("iter_*.pth"))
    options = (f"train_cfg.max_iters={newest + 2}", "train_dataloader.num_workers=2", "optim_wrapper.optimizer.lr=0.1")
    result = run_tool(
        "train.py",
        *(folder / "config.py", "--work-dir", "work", "--resume", "--cfg-options", *options),
        root=folder,
        cwd=folder,
    )
    assert result.returncode == 0, result.stderr
    assert f"was killed: process {pid} on " in result.stdout
    assert f"  train_cfg.max_iters: 100000 -> {newest + 2}\n" in result.stdout
    assert "no effect" in result.stdout and "  optim_wrapper.optimizer.lr: 0.01 -> 0.1\n" in result.stdout
    assert (folder / f"work/iter_{newest + 2}.pth").is_file()
    assert (folder / "work/run.lock").read_text() == ""


@pytest.mark.full
def test_another_config_is_refused_before_anything_is_built(killed: tuple[Path, int, str], refuse: Refuse) -> None:
    """The keys that differ are named; the run that is there stays as it is."""
    folder, *_ = killed
    before = sorted(path for path in (folder / "work").rglob("*"))
    options = ("model.backbone.arch.embed_dims=16", "optim_wrapper.optimizer.type=SGD", "train_cfg.max_iters=7")
    said = refuse("config.py", "--work-dir", "work", "--resume", "--cfg-options", *options)
    assert "  optim_wrapper.optimizer.type: 'AdamW' -> 'SGD'\n  model.backbone.arch.embed_dims: 8 -> 16\nSet" in said
    assert sorted(path for path in (folder / "work").rglob("*")) == before


@pytest.mark.full
def test_the_work_dir_of_another_task_is_refused(killed: tuple[Path, int, str], refuse: Refuse) -> None:
    """With --resume and without."""
    folder, *_ = killed
    imports = dict(imports=["tests.engine.tiny_training"], allow_failed_imports=False)
    write_config(folder / "other.py", **training(CLASSIFIER, **EPOCHS), custom_imports=imports)
    said = refuse("other.py", "--work-dir", "work", "--resume")
    assert "  model.type: 'mmswinv2.SimMIM' -> 'mmswinv2.ImageClassifier'\n" in said
    said = refuse("other.py", "--work-dir", "work")
    assert "a run with another model (SimMIM, this config has ImageClassifier): iter_" in said


# A clock that was set back to the very second of an earlier run: MMEngine names the folder of logs by it.
FROZEN = """
import sys, time
start = time.monotonic()
time.time = lambda: 1.7e9 + (time.monotonic() - start) / 1000
sys.argv = ["train"] + sys.argv[1:]
from mmswinv2.cli import main
main(sys.argv)
"""


@pytest.mark.full
def test_a_clock_set_back_loses_no_log(tmp_path: Path) -> None:
    """Two runs of the same second write into one folder, one after the other: nothing is overwritten."""
    config = write_config(tmp_path / "config.py")
    for options in ([], ["--resume"]):
        iterations = 4 if options else 2
        arguments = [config, "--work-dir", "work", *options, "--cfg-options", f"train_cfg.max_iters={iterations}"]
        result = subprocess.run(
            [sys.executable, "-c", FROZEN, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
    (folder,) = [path for path in (tmp_path / "work").iterdir() if path.is_dir()]
    scalars = [json.loads(line) for line in (folder / "vis_data/scalars.json").read_text().splitlines()]
    assert [entry["step"] for entry in scalars] == [1, 2, 3, 4]
    assert (folder / f"{folder.name}.log").read_text().count("Iter(train)") == 4


@pytest.mark.full
def test_processes_beside_the_first_take_no_lock(
    killed: tuple[Path, int, str], refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes of a launch are one run: the second goes on to its next fault where the first is stopped."""
    options = ("--work-dir", "work", "--cfg-options", "load_from=missing.pth")
    with holder(killed[0] / "work"):
        assert "at work in" in refuse("config.py", *options)
        monkeypatch.setenv("RANK", "1")
        assert "There is no checkpoint" in refuse("config.py", *options)
