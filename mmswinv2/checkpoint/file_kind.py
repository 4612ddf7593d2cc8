"""What kind of file a checkpoint is, by its content; its name must not say otherwise."""

import os
from pathlib import Path
from typing import Literal

from .errors import CheckpointError

Kind = Literal["torch", "safetensors"]

SUFFIXES: dict[str, Kind] = {
    ".pth": "torch",
    ".pt": "torch",
    ".bin": "torch",
    ".ckpt": "torch",
    ".tar": "torch",
    ".safetensors": "safetensors",
}
ZIP = b"PK\x03\x04"  # torch.save since 1.6
PICKLE = b"\x80"  # torch.save before, and plain pickles
GIT_LFS = b"version https://git-lfs"
AGAIN = "copy or download it again"


def file_kind(path: Path, name: str, source: str) -> Kind:
    """The kind of a checkpoint file.

    Args:
        path: The file.
        name: Its own name: that of a file downloaded to a temporary place differs.
        source: What the user called it, for messages.

    Raises:
        CheckpointError: The file is missing, empty or no checkpoint, or its suffix is unknown or of another kind.
    """
    kind = _kind_of_content(path, source)
    suffix = Path(name).suffix
    if suffix not in SUFFIXES:
        raise CheckpointError(
            f"{source}: the suffix {suffix!r} is none of a checkpoint's ({', '.join(SUFFIXES)}). "
            f"By its content it is a {kind} file: rename it to end with {_suffix_of(kind)}"
        )
    if SUFFIXES[suffix] != kind:
        raise CheckpointError(
            f"{source}: by its content this is a {kind} file, not what {suffix} stands for: "
            f"rename it to end with {_suffix_of(kind)}"
        )
    return kind


def _suffix_of(kind: Kind) -> str:
    return next(suffix for suffix, of_kind in SUFFIXES.items() if of_kind == kind)


def _kind_of_content(path: Path, source: str) -> Kind:
    if path.is_dir():
        raise CheckpointError(f"{source} is a folder: give the checkpoint file in it")
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint file {os.path.abspath(path)}")
    with open(path, "rb") as file:
        start = file.read(len(GIT_LFS))
    if not start:
        raise CheckpointError(f"{source}: the file is empty; {AGAIN}")
    if start[5:9] == b"\0\0\0{":  # first, for the length of its header, 8 bytes, may begin as a pickle does
        return "safetensors"
    if start.startswith((ZIP, PICKLE)):
        return "torch"
    if start.startswith(GIT_LFS):
        raise CheckpointError(f"{source}: this is Git LFS's pointer to the file, not the file: run `git lfs pull`")
    if start.lstrip().startswith(b"<"):
        raise CheckpointError(
            f"{source}: this is a web page, not weights; download it from the address of the file itself "
            "(on the Hugging Face Hub /resolve/, not /blob/)"
        )
    raise CheckpointError(f"{source}: neither a PyTorch file nor safetensors, or cut off at its start; {AGAIN}")
