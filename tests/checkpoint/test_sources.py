"""Every place and kind of file is read, and what is no checkpoint is named with its mend."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.errors import CheckpointError

WEIGHTS = {"norm.weight": torch.arange(200.0), "norm.bias": torch.ones(2, dtype=torch.bfloat16)}


def assert_weights(content: dict[str, torch.Tensor]) -> None:
    """``content`` is :data:`WEIGHTS`, bit for bit."""
    assert content.keys() == WEIGHTS.keys()
    for name, weight in WEIGHTS.items():
        assert content[name].dtype == weight.dtype and torch.equal(content[name], weight)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".pth.tar"])
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files(suffix: str, zipped: bool, tmp_path: Path) -> None:
    """Under every suffix in use, in torch's newer and older format."""
    path = tmp_path / f"swinv2{suffix}"
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=zipped)
    file = read_checkpoint(str(path))
    assert_weights(file.content)
    assert (file.source, file.names, file.metadata) == (str(path), (path.stem,), {})


def test_safetensors_file_with_what_is_said_beside_it(tmp_path: Path) -> None:
    """Its own metadata and the folder's config.json are kept apart: both may speak of windows."""
    save_file(WEIGHTS, tmp_path / "model.safetensors", metadata={"window": "8", "format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps({"window": 16, "depths": [2, 2, 6, 2]}))
    file = read_checkpoint(str(tmp_path / "model.safetensors"))
    assert_weights(file.content)
    assert file.metadata == {"window": "8", "format": "pt"}
    assert file.config == {"window": 16, "depths": [2, 2, 6, 2]}


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the user's home, as in MMEngine."""
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(WEIGHTS, tmp_path / "w.pth")
    assert_weights(read_checkpoint("~/w.pth").content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.pth", b"", "the file is empty; copy or download it again"),
        ("page.pth", b"\n<!DOCTYPE html><html>", "a web page, not weights; download it from the address of the file"),
        ("lfs.safetensors", b"version https://git-lfs.github.com/spec/v1\noid", "run `git lfs pull`"),
        ("text.pth", b"weights", "neither a PyTorch file nor safetensors"),
    ],
)
def test_what_is_no_checkpoint(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    """What the user got instead is named."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}: .*{message}"):
        read_checkpoint(str(tmp_path / name))


def test_missing_file_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file is named by its whole path, for a relative one depends on the folder one is in."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=f"There is no checkpoint file {tmp_path}/typo.pth"):
        read_checkpoint("typo.pth")
    with pytest.raises(CheckpointError, match="is a folder: give the checkpoint file in it"):
        read_checkpoint(str(tmp_path))


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95, 0.999])
def test_truncated_file(kind: str, kept: float, tmp_path: Path) -> None:
    """Wherever the download stopped."""
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(WEIGHTS, path)
    else:
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CheckpointError, match=rf"{path.name}: .*cut (short|off).*copy or download it again"):
        read_checkpoint(str(path))


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("torch", "w.safetensors", "this is a torch file, not what .safetensors stands for: .* end with .pth"),
        ("safetensors", "w.pth", "this is a safetensors file, not what .pth stands for: .* end with .safetensors"),
        ("torch", "w.weights", "the suffix '.weights' is none of a checkpoint's .* rename it to end with .pth"),
        ("safetensors", "w", "the suffix '' is none of a checkpoint's .* rename it to end with .safetensors"),
    ],
)
def test_wrong_suffix(kind: str, name: str, message: str, tmp_path: Path) -> None:
    """The content decides what to rename it to."""
    torch.save(WEIGHTS, tmp_path / name) if kind == "torch" else save_file(WEIGHTS, tmp_path / name)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(str(tmp_path / name))


def test_something_else_than_a_dict(tmp_path: Path) -> None:
    """A file of one tensor is no checkpoint."""
    torch.save(torch.ones(1), tmp_path / "t.pth")
    with pytest.raises(CheckpointError, match="holds a Tensor; a checkpoint is a dict of weights"):
        read_checkpoint(str(tmp_path / "t.pth"))


def test_broken_config_beside(tmp_path: Path) -> None:
    """It may hold the window: leaving it out without a word could give wrong weights."""
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json beside the weights is not valid JSON"):
        read_checkpoint(str(tmp_path / "model.safetensors"))


def test_config_beside_that_is_too_large_or_too_deep(tmp_path: Path) -> None:
    """It is a few thousand bytes, and Python's reader of JSON goes as deep as its stack."""
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    for text, message in (("[" * 100_000, "not valid JSON"), (" " * 2**21, "larger than 1048576 bytes: remove it")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=rf"config\.json beside the weights is {message}"):
            read_checkpoint(str(tmp_path / "model.safetensors"))
