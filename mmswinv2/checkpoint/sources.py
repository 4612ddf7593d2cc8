"""Where checkpoints come from: paths, addresses, the Hugging Face Hub, MMEngine's model zoos."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlparse

import torch
from filelock import FileLock
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from mmengine.fileio import get_local_path
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError
from .archive import AGAIN, PICKLE, ZIP
from .parts import mesh_of_parts, read_once
from .safe_pickle import load_pickle, replaces_methods
from .sharded import is_sharded, load_sharded

Kind = Literal["torch", "safetensors"]

SUFFIXES: dict[str, Kind] = {
    ".pth": "torch",
    ".pt": "torch",
    ".bin": "torch",
    ".ckpt": "torch",
    ".tar": "torch",
    ".safetensors": "safetensors",
}
GIT_LFS = b"version https://git-lfs"


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
    try:
        with open(path, "rb") as file:
            start = file.read(len(GIT_LFS))
    except OSError as error:
        raise CheckpointError(f"{source} cannot be read ({error.strerror})") from error
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


HUB_PREFIX = "hf-hub:"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
CONFIG, MAX_CONFIG = "config.json", 2**20  # bytes; those of released models have a few thousand


def fetch_from_hub(source: str) -> Path:
    """Downloads a repository's weights, and beside them its ``config.json`` if it has one.

    What is in huggingface_hub's cache already is not downloaded again.

    Args:
        source: ``hf-hub:OWNER/NAME[@REVISION]``; a revision is a branch, tag or commit.

    Returns:
        The file of weights in the cache.

    Raises:
        CheckpointError: There is no such repository, it has no weights, or the Hub cannot be reached.
    """
    repository, _, revision = source.removeprefix(HUB_PREFIX).partition("@")
    try:
        weights = _download_first(repository, WEIGHTS, revision or None)
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{source}: the Hugging Face Hub cannot be reached and its cache does not hold the weights. Go online, "
            "unset HF_HUB_OFFLINE, check HF_ENDPOINT; or download the file elsewhere and give its path"
        ) from error
    except EntryNotFoundError as error:
        raise CheckpointError(
            f"{source}: the repository has none of {', '.join(WEIGHTS)}; download its file and give the path"
        ) from error
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise CheckpointError(
            f"{source}: there is no such repository on the Hugging Face Hub, or it is not open to you. Check the "
            "name; for a private or gated one accept its terms and log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{source}: the repository has no branch, tag or commit {revision!r}") from error
    except HFValidationError as error:
        raise CheckpointError(f"{source}: not of the form {HUB_PREFIX}OWNER/NAME[@REVISION]") from error
    except OSError as error:
        raise CheckpointError(f"{source}: the download failed ({error})") from error
    return weights


def _download_first(repository: str, names: tuple[str, ...], revision: str | None) -> Path:
    """Downloads the first of ``names`` that there is, together with the config."""
    for name in names:
        try:
            weights = Path(hf_hub_download(repository, name, revision=revision))
        except EntryNotFoundError as error:
            missing = error
        else:
            _download_config(repository, revision)
            return weights
    raise missing


def _download_config(repository: str, revision: str | None) -> None:
    with suppress(EntryNotFoundError):
        hf_hub_download(repository, CONFIG, revision=revision)


def _openmmlab_models() -> dict[str, str]:
    models: dict[str, str] = get_external_models()
    return models | {old: models[new] for old, new in get_deprecated_model_names().items() if new in models}


ZOOS: Mapping[str, Callable[[], dict[str, str]]] = {
    "torchvision://": get_torchvision_models,
    "modelzoo://": get_torchvision_models,
    "open-mmlab://": _openmmlab_models,
    "openmmlab://": _openmmlab_models,
    "mmcls://": get_mmcls_models,
}


def fetch_from_zoo(source: str) -> Path:
    """The file of a model zoo's name, in torch's own cache, where MMEngine keeps it as well.

    These files have a hash of their content in the name, so that a cached one cannot be out of date.

    Raises:
        CheckpointError: The zoo has no such model, or it cannot be downloaded.
    """
    zoo, _, name = source.partition("://")
    address = ZOOS[f"{zoo}://"]().get(name)
    if address is None:
        raise CheckpointError(f"{source}: MMEngine knows no model of this name; give a path or an address")
    return _in_cache(address, Path(urlparse(address).path).name, source)


def fetch_from_address(address: str) -> Path:
    """The file at ``http://`` or ``https://``, in torch's own cache; one that is there already is taken as it is.

    Its name there ends with a hash of the address, so that files of the same name do not take each other's place.

    Raises:
        CheckpointError: It cannot be downloaded.
    """
    name = PurePosixPath(urlparse(address).path)
    key = hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()[:12]
    return _in_cache(address, f"{name.stem}-{key}{name.suffix}", address)


def _in_cache(address: str, name: str, source: str) -> Path:
    """Downloads what torch's cache does not hold under ``name``.

    Of several processes one downloads and the others wait; torch renames the file when it is whole. A lock on a file
    needs no :mod:`torch.distributed`, and nobody waits for a process that reads no checkpoint.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                torch.hub.download_url_to_file(address, str(path), progress=False)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no address at all
        raise CheckpointError(f"{source}: {address} cannot be fetched ({error})") from error
    return path


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
    """Reads a checkpoint; nothing that it holds is run. For processes that read together see :mod:`.parts`.

    Args:
        source: A path; an address that MMEngine's file I/O knows, such as ``https://`` or ``s3://``; or
            ``hf-hub:OWNER/NAME[@REVISION]`` for a repository on the Hugging Face Hub.
        map_location: Where its tensors go, as for :func:`torch.load`. Those of safetensors stay on the CPU, unless
            it names a device.

    Raises:
        CheckpointError: Names the file, what is wrong with it and what to do.
    """
    if mesh_of_parts() is None or str(map_location) == "meta" or is_sharded(Path(source).expanduser()):
        return _read(source, map_location)
    return read_once(lambda: _read(source, "cpu"))  # a device might not hold all of it


def _read(source: str, map_location: Any) -> CheckpointFile:
    if urlparse(source).scheme in ("http", "https"):
        return _read_address(source, fetch_from_address(source), map_location)
    if "://" in source:
        with _downloaded(source) as path:
            return _read_address(source, path, map_location)
    path = fetch_from_hub(source) if source.startswith(HUB_PREFIX) else Path(source).expanduser()
    names: tuple[str, ...] = (path.stem,)
    if source.startswith(HUB_PREFIX):
        names += (source.removeprefix(HUB_PREFIX).partition("@")[0].rpartition("/")[-1],)
    return replace(_read_file(path, path.name, source, map_location, names), config=_config_beside(path))


@contextmanager
def _downloaded(address: str) -> Iterator[Path]:
    """A temporary copy, of a storage that MMEngine's file I/O knows."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(get_local_path(address))
        except Exception as error:  # each backend has errors of its own
            raise CheckpointError(f"{address}: cannot be fetched ({error or type(error).__name__})") from error
        yield Path(path)


def _read_address(address: str, path: Path, map_location: Any) -> CheckpointFile:
    """Reads a downloaded file, whose name and kind its address tells; nothing is beside it."""
    name = PurePosixPath(urlparse(address).path).name
    try:
        return _read_file(path, name, address, map_location, (PurePosixPath(name).stem,))
    except CheckpointError as error:
        if path.is_relative_to(torch.hub.get_dir()):
            raise CheckpointError(
                f"{error}. It lies in {path}: remove that file to have it downloaded again"
            ) from error
        raise


def _read_file(path: Path, name: str, source: str, map_location: Any, names: tuple[str, ...]) -> CheckpointFile:
    metadata: dict[str, str] = {}
    if is_sharded(path):
        content = load_sharded(path, source, map_location)
    elif file_kind(path, name, source) == "safetensors":
        content, metadata = _load_safetensors(path, source, map_location)
    else:
        content = load_pickle(path, source, map_location)
    if not isinstance(content, dict):
        raise CheckpointError(f"{source}: holds a {type(content).__name__}; a checkpoint is a dict of weights")
    if replaces_methods(content):
        raise CheckpointError(f"{source}: refused, because its dicts or tensors have attributes in place of methods")
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
    config = path.with_name(CONFIG)
    if not config.is_file():
        return {}
    if config.stat().st_size > MAX_CONFIG:
        raise CheckpointError(f"{config} beside the weights is larger than {MAX_CONFIG} bytes: remove it")
    try:
        content = json.loads(config.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{config} beside the weights is not valid JSON ({error}): mend or remove it") from error
    return content if isinstance(content, dict) else {}
