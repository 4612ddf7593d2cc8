"""Reading a checkpoint, whatever the place and the kind of file."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.fileio import get_local_path
from safetensors import SafetensorError, safe_open

from . import hub
from .errors import CheckpointError
from .file_kind import AGAIN, file_kind
from .safe_pickle import load_pickle


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint as it was read.

    Attributes:
        source: What the user called it.
        content: What it holds: a state dict, or a dict that has one in it.
        names: Names that may tell the release: the file's without suffix, then the Hub repository's without owner.
        metadata: What safetensors keep beside the weights.
        config: The ``config.json`` in the file's folder; empty where there is none.
    """

    source: str
    content: dict[str, Any]
    names: tuple[str, ...]
    metadata: dict[str, str]
    config: dict[str, Any]


def read_checkpoint(source: str, map_location: Any = "cpu") -> CheckpointFile:
    """Reads a checkpoint; nothing that it holds is run.

    Args:
        source: A path; an address that MMEngine's file I/O knows, such as ``https://`` or ``s3://``; or
            ``hf-hub:OWNER/NAME[@REVISION]`` for a repository on the Hugging Face Hub.
        map_location: Where its tensors go, as for :func:`torch.load`. Those of safetensors stay on the CPU, unless
            it names a device.

    Raises:
        CheckpointError: Names the file, what is wrong with it and what to do.
    """
    if "://" in source:
        with _downloaded(source) as path:
            name = PurePosixPath(urlparse(source).path).name
            return _read_file(path, name, source, map_location, (PurePosixPath(name).stem,))
    if source.startswith(hub.PREFIX):
        path = hub.fetch(source)
        names = path.stem, source.removeprefix(hub.PREFIX).partition("@")[0].rpartition("/")[-1]
    else:
        path = Path(source).expanduser()
        names = (path.stem,)
    return replace(_read_file(path, path.name, source, map_location, names), config=_config_beside(path))


@contextmanager
def _downloaded(address: str) -> Iterator[Path]:
    """A temporary copy; nothing is cached, for the next file at the address may be another."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(get_local_path(address))
        except Exception as error:  # each backend has errors of its own
            raise CheckpointError(f"{address}: cannot be fetched ({error or type(error).__name__})") from error
        yield Path(path)


def _read_file(path: Path, name: str, source: str, map_location: Any, names: tuple[str, ...]) -> CheckpointFile:
    metadata = {}
    if file_kind(path, name, source) == "safetensors":
        content, metadata = _load_safetensors(path, source, map_location)
    else:
        content = load_pickle(path, source, map_location)
    if not isinstance(content, dict):
        raise CheckpointError(f"{source}: holds a {type(content).__name__}; a checkpoint is a dict of weights")
    return CheckpointFile(source, content, names, metadata, {})


def _load_safetensors(path: Path, source: str, map_location: Any) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors by name, and the metadata."""
    device = str(map_location) if isinstance(map_location, str | torch.device) else "cpu"
    try:
        with safe_open(path, "pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{source}: damaged or cut short ({error}); {AGAIN}") from error


def _config_beside(path: Path) -> dict[str, Any]:
    config = path.with_name(hub.CONFIG)
    if not config.is_file():
        return {}
    try:
        content = json.loads(config.read_text())
    except ValueError as error:
        raise CheckpointError(
            f"{config} beside the checkpoint is not valid JSON ({error}): mend or remove it"
        ) from error
    return content if isinstance(content, dict) else {}
