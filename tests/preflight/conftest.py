"""A tiny data set, and the configs whose runs it would stop."""

from pathlib import Path

import pytest
from mmengine.config import Config

from ..support import ROOT
from ..tiny_nuclei import write_tiny_nuclei

TINY_CONFIGS = ROOT / "tests/cli"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny data set that the tiny configs find."""
    monkeypatch.setenv("TINY_ROOT", str(tmp_path / "data"))
    return write_tiny_nuclei(tmp_path / "data")


@pytest.fixture
def detection(root: Path) -> Config:
    """Config of the tiny Mask R-CNN."""
    return Config.fromfile(TINY_CONFIGS / "tiny_mask_rcnn.py")


@pytest.fixture
def segmentation(root: Path) -> Config:
    """Config of the tiny UPerNet."""
    return Config.fromfile(TINY_CONFIGS / "tiny_upernet.py")
