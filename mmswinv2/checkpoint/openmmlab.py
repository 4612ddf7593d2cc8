"""MMEngine's ways to a checkpoint: its loaders, and ``init_cfg=dict(type='Pretrained', ...)``.

``load_from``, ``--resume``, ``init_detector`` and the inferencers read through MMEngine's ``CheckpointLoader``. Its own
loaders fall back to running a pickle that the safe reader refuses, so every address scheme gets one of these. Runners
write by :func:`save_to_disk`, because a kill while MMEngine writes leaves half a file in the place of the checkpoint.

Importing this module puts them in place, and this is the only place that does. The command line imports it, and so does
whoever builds a :class:`~mmswinv2.SwinTransformerV2`. A config whose weights are read before its model is built, as the
inferencers do, names it in ``custom_imports``.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmengine.runner.runner
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.model import update_init_info
from mmengine.runner.checkpoint import CheckpointLoader, save_checkpoint
from torch import nn

from ..errors import CheckpointError, ConfigError
from ..upstream import is_recorded
from .archive import save_sealed
from .load import load_pretrained
from .sharded import has_parts, save_sharded, size_of
from .sources import HUB_PREFIX, ZOOS, fetch_from_zoo, read_checkpoint

REMOTE = ["http://", "https://", r"(\S+\:)?s3://", r"(\S+\:)?petrel://", HUB_PREFIX]


# MMEngine calls a loader with these two arguments, and logs its name without "load_from_".


def load_from_local(filename: str, map_location: Any) -> dict[str, Any]:
    """What a file holds; see :func:`read_checkpoint` for arguments and errors.

    A run that resumes would execute the text at ``meta.config`` as Python, to compare the number of GPUs with that of
    mmcv 1. MMEngine itself writes ``meta.cfg``, so nothing is lost without it.
    """
    content = read_checkpoint(filename, map_location).content
    if isinstance(content.get("meta"), dict):
        content["meta"].pop("config", None)
    return content


def load_from_remote(filename: str, map_location: Any) -> dict[str, Any]:
    """The same for an address or a repository on the Hugging Face Hub."""
    return load_from_local(filename, map_location)


def load_from_zoo(filename: str, map_location: Any) -> dict[str, Any]:
    """The same for names in MMEngine's model zoos."""
    return read_checkpoint(str(fetch_from_zoo(filename)), map_location).content


def load_from_mmcls(filename: str, map_location: Any) -> dict[str, Any]:
    """The backbone of a classifier in MMEngine's zoo, without the prefix ``backbone.``, as MMEngine's loader has it."""
    content = load_from_zoo(filename, map_location)
    weights = content.get("state_dict", content).items()
    return {"state_dict": {name[9:]: weight for name, weight in weights if name.startswith("backbone.")}}


def load_from_pavi(filename: str, map_location: Any) -> dict[str, Any]:
    """Refuses: what MMEngine would use for it is not public, so nothing can be said of its safety."""
    raise CheckpointError(f"{filename}: pavi:// is not supported; download the file and give its path")


def _register_loaders() -> None:
    """Replaces MMEngine's loaders, for local files and all addresses that it knows."""
    register = CheckpointLoader.register_scheme
    register("", load_from_local, force=True)
    register(REMOTE, load_from_remote, force=True)
    register(list(ZOOS), load_from_zoo, force=True)
    register("mmcls://", load_from_mmcls, force=True)
    register("pavi://", load_from_pavi, force=True)


def save_to_disk(
    checkpoint: dict[str, Any],
    filename: str,
    file_client_args: dict[str, Any] | None = None,
    backend_args: dict[str, Any] | None = None,
) -> None:
    """Writes a runner's checkpoint whole or not at all, and with a seal.

    Args:
        checkpoint: What a runner saves, with ``meta.iter``.
        filename: A path; an address goes to MMEngine's backend for it.
        file_client_args: MMEngine's.
        backend_args: MMEngine's.

    Raises:
        OSError: The file cannot be written. The one that was there is still there.
    """
    if file_client_args or backend_args or "://" in filename:
        save_checkpoint(checkpoint, filename, file_client_args, backend_args)
        return
    start, path = time.perf_counter(), Path(filename)
    iteration, resumable = checkpoint["meta"]["iter"], "optimizer" in checkpoint
    if has_parts(checkpoint):
        save_sharded(checkpoint, path, iteration, resumable)
    elif is_main_process():
        save_sealed(checkpoint, path, iteration, resumable)
    took = f"{size_of(path) / 2**20:.1f} MiB in {time.perf_counter() - start:.1f} s"
    print_log(f"Wrote {filename}, {took}", logger="current")


_register_loaders()
mmengine.runner.runner.save_checkpoint = save_to_disk


KEYS = ("checkpoint", "prefix", "map_location", "allow_partial")


class PretrainedSwinV2:
    """MMEngine's ``Pretrained`` for every public form of SwinV2; arguments as in :func:`load_pretrained`."""

    def __init__(
        self, checkpoint: str, prefix: str | None = None, map_location: str = "cpu", allow_partial: bool = False
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.map_location = map_location
        self.allow_partial = allow_partial

    def __call__(self, module: nn.Module) -> None:
        load_pretrained(module, self.checkpoint, self.prefix, self.map_location, self.allow_partial)
        if is_recorded(module):
            update_init_info(module, init_info=f"{type(self).__name__}: load from {self.checkpoint}")


def read_any_form(init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]] | None:
    """MMEngine's ``init_cfg`` with every ``Pretrained`` read by :class:`PretrainedSwinV2`, after all others.

    Raises:
        ConfigError: ``Pretrained`` without ``checkpoint`` or with an unknown key.
    """
    if not init_cfg:
        return None
    entries = [dict(init_cfg)] if isinstance(init_cfg, Mapping) else [dict(entry) for entry in init_cfg]
    pretrained = [entry for entry in entries if entry.get("type") == "Pretrained"]
    for entry in pretrained:
        _check_keys(entry)
        entry["type"] = PretrainedSwinV2
    return [*(entry for entry in entries if entry not in pretrained), *pretrained]


def _check_keys(entry: Mapping[str, Any]) -> None:
    unknown = sorted(set(entry) - {"type", *KEYS})
    if unknown or not entry.get("checkpoint"):
        fault = f"does not know {', '.join(unknown)}" if unknown else "needs checkpoint"
        raise ConfigError(f"init_cfg of type 'Pretrained' {fault}; its keys are {', '.join(KEYS)}")
