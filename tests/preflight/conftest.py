"""A tiny data set, and the configs whose runs it would stop."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

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


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The warnings in the log."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
