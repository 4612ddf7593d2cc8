"""A payload is refused at every door of the tools, and a run's own checkpoint passes."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.errors import CheckpointError

from ..cli.support import CONFIGS, command, run_tool, said_by
from ..support import ROOT
from ..tiny_nuclei import write_tiny_nuclei
from .payloads import payloads, write_payload

CONFIG = CONFIGS / "tiny_mask_rcnn.py"
SHORT = ("--cfg-options", "train_cfg.val_interval=100")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training of two iterations in ``work``, with its data in ``data``."""
    folder = tmp_path_factory.mktemp("doors")
    write_tiny_nuclei(folder / "data")
    run_train(folder, 2)
    return folder


def run_train(folder: Path, iterations: int, *options: object) -> str:
    """Trains up to ``iterations`` and returns what was printed."""
    result = run_tool(
        "train.py",
        CONFIG,
        *("--work-dir", folder / "work", *options, *SHORT, f"train_cfg.max_iters={iterations}"),
        root=folder / "data",
        cwd=folder,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


@pytest.mark.full
def test_own_checkpoint_resumes(trained: Path) -> None:
    """Log, optimizer and all: what a run writes is all on the list of what is read."""
    before = read_checkpoint(str(trained / "work/iter_2.pth")).content
    assert before["message_hub"]["log_scalars"]["train/loss"].data[0].size == 2
    log = run_train(trained, 4, "--resume")
    assert "resumed epoch: 0, iter: 2" in log
    after = read_checkpoint(str(trained / "work/iter_4.pth")).content
    assert {int(state["step"]) for state in after["optimizer"]["state"].values()} == {4}
    assert after["message_hub"]["log_scalars"]["train/loss"].data[0].size == 4
    # What was resumed is written without a trace of how it was read.
    with pytest.raises(Exception, match="Unsupported global") as error:
        torch.load(trained / "work/iter_4.pth", weights_only=True)
    assert "mmswinv2" not in str(error.value)


DOORS = {
    "resume": ("train.py", [CONFIG, "--resume", "bad.pth"]),
    "load_from": ("train.py", [CONFIG, "--cfg-options", "load_from=bad.pth"]),
    "test": ("test.py", [CONFIG, "bad.pth"]),
    "infer": ("infer.py", [CONFIG, "bad.pth", "data/val", "--out-dir", "out", "--device", "cpu"]),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("door", DOORS)
def test_payload_is_refused_at_the_tools(
    door: str,
    zipped: bool,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """By name, as a message of the user's with status 2; any other error would get out of the tool."""
    monkeypatch.setenv("TINY_ROOT", str(trained / "data"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)
    os.symlink(trained / "data", "data")
    payload, _ = payloads(tmp_path / "marker")["command"]
    write_payload(tmp_path / "bad.pth", payload, _use_new_zipfile_serialization=zipped)
    tool, arguments = DOORS[door]
    monkeypatch.setattr(sys, "argv", command(tool, *arguments)[1:])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools" / tool), run_name="__main__")
    assert end.value.code == 2
    assert f"{said_by(tool)}: bad.pth: refused, because it refers to posix.system" in capfd.readouterr().err
    assert not (tmp_path / "marker").exists()


def test_payload_is_refused_by_init_detector(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door of everybody's notebooks."""
    from mmdet.apis import init_detector

    monkeypatch.setenv("TINY_ROOT", str(trained / "data"))
    path = write_payload(tmp_path / "bad.pth", payloads(tmp_path / "marker")["code"][0])
    with pytest.raises(CheckpointError, match=r"builtins\.exec"):
        init_detector(str(CONFIG), str(path), device="cpu")
    assert not (tmp_path / "marker").exists()


INFERENCERS = {
    "mmdet": ("DetInferencer", "configs/demo/mask-rcnn_swinv2_nuclei.py"),
    "mmseg": ("MMSegInferencer", "configs/demo/upernet_swinv2_nuclei.py"),
}


@pytest.mark.parametrize("package", [pytest.param("mmdet", marks=pytest.mark.full), "mmseg"])
def test_payload_is_refused_at_the_inferencers(package: str, tmp_path: Path) -> None:
    """In a process that imports nothing of ours: they read the weights before they build the model."""
    name, config = INFERENCERS[package]
    marker = tmp_path / "marker"
    payload, _ = payloads(marker)["command"]
    write_payload(tmp_path / "bad.pth", payload)
    code = f"from {package}.apis import {name}; {name}({str(ROOT / config)!r}, 'bad.pth', device='cpu')"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "CheckpointError" in result.stderr, result.stderr[-2000:]
    assert not marker.exists()
