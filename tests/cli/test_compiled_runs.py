"""MMEngine's ``compile=True``: the backbone inside a compiled detector or segmentor breaks no graph."""

import re
from pathlib import Path

import pytest

from ..tiny_nuclei import write_tiny_nuclei
from .support import CONFIGS, run_tool


@pytest.mark.full
@pytest.mark.parametrize("name", ["mask_rcnn", "upernet"])
def test_a_compiled_run_trains_and_the_backbone_has_no_break(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads break the graph for reasons of their own; no break is in a layer, and no limit of compilations is met."""
    write_tiny_nuclei(tmp_path / "data")
    monkeypatch.setenv("TORCH_LOGS", "graph_breaks,recompiles")
    options = ("--cfg-options", "compile.backend=aot_eager", "train_cfg.max_iters=6", "train_cfg.val_interval=6")
    run = run_tool(
        "train.py",
        CONFIGS / f"tiny_{name}.py",
        *("--work-dir", tmp_path / "work", *options),
        root=tmp_path / "data",
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    log = run.stdout + run.stderr
    assert "Graph break in user code" in log  # of a head: the log does tell
    assert not re.findall(r"Graph break in user code at \S*mmswinv2/(?:layers|models)/.*", log)
    assert "recompile_limit" not in log
    assert len(re.findall(r"Iter\(train\) +\[ *\d+/6\]", log)) == 6
