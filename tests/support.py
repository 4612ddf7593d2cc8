"""Where tests find real data."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests/data"


def shared_data(name: str) -> Path:
    """Folder ``name`` of the data kept outside the repository; skips the test where it is absent."""
    folder = Path(os.environ.get("MMSWINV2_DATA", ROOT.parent / "shared/data")) / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}: set MMSWINV2_DATA to the folder that holds {name}")
    return folder
