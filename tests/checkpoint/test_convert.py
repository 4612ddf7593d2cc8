"""What is not written in another form, and how a file is written. What comes back is in test_round_trips.py."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from mmswinv2.checkpoint import convert, open_checkpoint, save_converted
from mmswinv2.errors import CheckpointError

from .backbones import TABLE, TINY, official_state, random_backbone

WINDOWS = [[8, 8]] * 4


@pytest.fixture
def native(tmp_path: Path) -> str:
    path = tmp_path / "native.pth"
    torch.save(random_backbone().state_dict(), path)
    return str(path)


def test_an_unknown_form_is_refused(native: str) -> None:
    with pytest.raises(CheckpointError, match=r"unknown form 'torchvision': choose one of .*native"):
        convert(open_checkpoint(native), "torchvision")


def test_windows_that_nothing_tells_are_refused(tmp_path: Path) -> None:
    """A converted file must say them, or they would be lost for good."""
    path = tmp_path / "weights.pth"
    torch.save(official_state(random_backbone()), path)
    with pytest.raises(CheckpointError, match=r"weights\.pth: nothing tells the window"):
        convert(open_checkpoint(str(path)), "native")


@pytest.mark.parametrize("form", ["timm", "hf"])
def test_extra_norms_are_refused_where_no_model_has_them(form: str, tmp_path: Path) -> None:
    """Left out without a word, the other library would compute something else."""
    path = tmp_path / "giant.pth"
    torch.save(random_backbone({**TINY, "extra_norm_period": 2}).state_dict(), path)
    with pytest.raises(CheckpointError, match=rf"giant\.pth: .*enorm.* no model of the form {form} has"):
        convert(open_checkpoint(str(path)), form)


@pytest.mark.parametrize(("form", "key"), [("native", "state_dict"), ("timm", "state_dict"), ("official", "model")])
def test_a_pth_has_the_tensors_where_the_library_looks(form: str, key: str, native: str, tmp_path: Path) -> None:
    path = tmp_path / "converted.pth"
    save_converted(convert(open_checkpoint(native), form), str(path))
    content = torch.load(path, weights_only=True)
    assert content.keys() == {key, "meta"}
    assert content["meta"] == {"pretrained_window_sizes": WINDOWS}


def test_safetensors_metadata_says_the_windows(native: str, tmp_path: Path) -> None:
    path = tmp_path / "converted.safetensors"
    save_converted(convert(open_checkpoint(native), "hf"), str(path))
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "pretrained_window_sizes": str(WINDOWS)}


def test_official_tables_are_those_of_every_block(native: str) -> None:
    state = convert(open_checkpoint(native), "official").state
    tables = [tensor for name, tensor in state.items() if name.endswith(TABLE)]
    assert [tuple(table.shape) for table in tables] == [(1, 15, 15, 2)] * 8


@pytest.mark.parametrize(
    ("form", "file", "message"),
    [
        ("timm", "converted.bin", r"the form timm is written to \.pth or \.safetensors"),
        ("hf", "converted.pth", r"the form hf is written to \.safetensors"),
        ("native", "absent/converted.pth", "there is no folder .*absent"),
    ],
)
def test_a_path_that_cannot_be_written_to(form: str, file: str, message: str, native: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        save_converted(convert(open_checkpoint(native), form), str(tmp_path / file))
    assert [path.name for path in tmp_path.iterdir()] == ["native.pth"]


def test_a_full_disk_leaves_the_file_as_it_was(native: str, tmp_path: Path) -> None:
    path, unfinished = tmp_path / "converted.pth", tmp_path / "converted.pth.part"
    path.write_text("an earlier file")
    unfinished.symlink_to("/dev/full")  # a device that takes nothing
    with pytest.raises(CheckpointError, match=r"converted\.pth cannot be written"):
        save_converted(convert(open_checkpoint(native), "timm"), str(path))
    assert path.read_text() == "an earlier file"
    assert not unfinished.is_symlink()
