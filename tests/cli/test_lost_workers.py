"""tools/train.py with a data loader's worker that hangs or dies: it ends by itself, with the image's name."""

import time
from pathlib import Path

import pytest
from mmengine.config import Config

from ..tiny_nuclei import write_tiny_nuclei
from .support import CONFIGS, run_tool


def write_config(name: str, folder: Path, end: dict[str, str]) -> Path:
    """The tiny config of a model, with two workers and a transform that ends one of them."""
    cfg = Config.fromfile(CONFIGS / f"tiny_{name}.py")
    cfg.custom_imports = dict(imports=["tests.engine.faults"], allow_failed_imports=False)
    cfg.train_dataloader.update(num_workers=2, timeout=5)
    dataset = cfg.train_dataloader.dataset
    dataset = dataset.get("dataset", dataset)
    dataset.pipeline = [*dataset.pipeline[:-1], dict(type="mmengine.EndAt", **end), dataset.pipeline[-1]]
    cfg.dump(folder / "config.py")
    return folder / "config.py"


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "signal_name", "message"),
    [
        ("upernet", "", "The workers of a data loader have not made a batch for 5 s. They are at "),
        ("mask_rcnn", "SIGKILL", "A worker of a data loader "),
    ],
    ids=["upernet-hangs", "mask_rcnn-dies"],
)
def test_the_run_ends_by_itself(
    name: str, signal_name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it stays behind to wait for the worker, whose signals are blocked."""
    root = write_tiny_nuclei(tmp_path / "data")
    monkeypatch.setenv("TINY_ROOT", str(root))
    image = sorted((root / "train").glob("*.jpg"))[2]
    config = write_config(name, tmp_path, dict(name=image.name, signal_name=signal_name))
    start = time.monotonic()
    result = run_tool("train.py", config, root=root, cwd=tmp_path)
    assert result.returncode == 2, result.stderr[-3000:]
    said = result.stderr[result.stderr.rindex("mmswinv2 train: ") :]
    assert said.startswith(f"mmswinv2 train: {message}")
    assert str(image) in said and "Traceback" not in said
    assert time.monotonic() - start < 120
