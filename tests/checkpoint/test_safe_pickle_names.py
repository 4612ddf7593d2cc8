"""What a pickle refers to is told without loading it, whatever the protocol."""

import pickle
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import torch

from mmswinv2.checkpoint.safe_pickle import referred_names

from .payloads import payloads


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickle(protocol: int, tmp_path: Path) -> None:
    """Each name once; later protocols give the second class of a module by reference to the first's."""
    content = [OrderedDict(a=1), payloads(tmp_path / "marker")["command"][0], Counter(b=2), OrderedDict()]
    (tmp_path / "a.pth").write_bytes(pickle.dumps(content, protocol))
    names = referred_names(tmp_path / "a.pth", "a.pth")
    assert [name for name in names if name.startswith(("collections", "posix"))] == [
        "collections.OrderedDict",
        "posix.system",
        "collections.Counter",
    ]
    assert len(names) == len(set(names))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_torch_file(zipped: bool, protocol: int, tmp_path: Path) -> None:
    """In torch's older format the data come after other pickles."""
    path = tmp_path / "model.pth"
    torch.save(torch.nn.Linear(1, 1), path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert "torch.nn.modules.linear.Linear" in referred_names(path, "model.pth")
