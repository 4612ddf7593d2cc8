"""A learning rate that is far too high: tools/train.py stops, and `mmswinv2 replay` shows the same batch again."""

import json
import re
from pathlib import Path

import pytest

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.cli.replay import read_report
from mmswinv2.errors import ConfigError

from ..engine.faults import is_finite
from ..tiny_nuclei import write_tiny_nuclei
from .support import CONFIGS, run_tool


@pytest.mark.full
@pytest.mark.parametrize("name", ["mask_rcnn", "upernet"])
def test_a_run_that_explodes_stops_and_can_be_replayed(name: str, tmp_path: Path) -> None:
    """In another process, from the files that the run left: the same losses, the same layer."""
    root = write_tiny_nuclei(tmp_path / "data")
    config, work_dir = CONFIGS / f"tiny_{name}.py", tmp_path / "work"
    options = ("optim_wrapper.optimizer.lr=1e8", "train_cfg.max_iters=50", "train_cfg.val_interval=50")
    run = run_tool("train.py", config, "--work-dir", work_dir, "--cfg-options", *options, root=root, cwd=tmp_path)
    assert run.returncode == 2, run.stderr[-3000:]
    message = run.stderr[run.stderr.rindex("mmswinv2 train: ") :]
    (path,) = work_dir.glob("bad_batch_iter_*.json")
    report = json.loads(path.read_text())
    assert f"Iteration {report['iteration']}: the loss is not finite, or above max_loss" in message
    assert f"mmswinv2 replay {path}" in message and "Traceback" not in message
    assert len(report["images"]) == 2 and all(Path(image).is_file() for image in report["images"])
    kept = read_checkpoint(str(work_dir / report["checkpoint"])).content
    assert is_finite(kept["state_dict"]) and kept["meta"]["iter"] == report["iteration"] - 1
    assert "optimizer" in kept

    replayed = run_tool("replay.py", path, "--device", "cpu", root=root, cwd=tmp_path)
    assert replayed.returncode == 0, replayed.stderr[-3000:]
    assert re.search(r"^ *loss +\S+ \(in the run: ", replayed.stdout, re.MULTILINE)
    for loss, before in re.findall(r"(\S+) \(in the run: (\S+)\)", replayed.stdout):
        assert float(loss) == pytest.approx(float(before), rel=1e-4, nan_ok=True)
    culprit = report["culprit"]
    assert culprit is None or f"It begins in: {culprit['name']}" in replayed.stdout


@pytest.mark.parametrize("content", ["no json", "[]", '{"config": "a.py"}'])
def test_another_file_is_no_report(content: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=f"{path} is no report of a bad batch"):
        read_report(str(path))


def test_a_report_without_weights_says_so(tmp_path: Path) -> None:
    """Those of the run were not finite, so it kept none."""
    path = tmp_path / "report.json"
    path.write_text(json.dumps(dict(config="config.py", batch="batch.pth", checkpoint=None)))
    with pytest.raises(ConfigError, match="names no checkpoint, so there is nothing to run again"):
        read_report(str(path))
