"""A checkpoint is recognised by its content; tests of what is refused are in test_reading.py."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmswinv2.checkpoint.sources import file_kind


def test_safetensors_with_a_header_of_any_length(tmp_path: Path) -> None:
    """It begins with the length of its header, for one file in 32 with the byte that a pickle begins with."""
    path = tmp_path / "model.safetensors"
    first_bytes = set()
    for length in range(0, 256, 4):
        save_file({"x" * (length + 1): torch.ones(1)}, path)
        first_bytes.add(path.read_bytes()[0])
        assert file_kind(path, path.name, str(path)) == "safetensors"
    assert len(first_bytes) == 32
    assert 0x80 in first_bytes


@pytest.mark.parametrize("new_format", [True, False])
def test_both_formats_of_torch(new_format: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"x": torch.ones(1)}, path, _use_new_zipfile_serialization=new_format)
    assert file_kind(path, path.name, str(path)) == "torch"
