"""Checks what a work dir and its checkpoints hold, before a training goes on from them or begins beside them."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

from mmengine.config import Config

from ..checkpoint import numbered_checkpoints, read_checkpoint
from ..errors import CheckpointError, ConfigError, list_some, name_some
from .config_text import leaves, parse_config

# What a training depends on. All else may change: logs, hooks, validation, the environment.
ROOTS = (
    "model",
    "data_preprocessor",
    "train_dataloader",
    "train_cfg",
    "optim_wrapper",
    "param_scheduler",
    "auto_scale_lr",
    "randomness",
)
HARMLESS = re.compile(
    r".*\b(num_workers|persistent_workers|pin_memory|prefetch_factor|multiprocessing_context|data_root|backend_args"
    r"|file_client_args|init_cfg|with_cp|test_cfg|val_interval|val_begin|dynamic_intervals)\b.*"
)
# Other weights, another optimizer's memory or groups of parameters, or the state of one scheduler in another.
FATAL = re.compile(
    r"(model(\.(\w*head|backbone|neck|encoder|decoder|\d+))*"
    r"\.(type|arch|num_classes|\w*channels|embed_dims|depths|num_heads)"
    r"|optim_wrapper\.(optimizer\.type|constructor|paramwise_cfg)|param_scheduler(\.\w+)*\.type)(\..*)?"
)
RESTORED = re.compile(r"(optim_wrapper\.optimizer|param_scheduler|auto_scale_lr|randomness\.seed)\b.*")
Difference = tuple[str, Any, Any]


def check_new_run(cfg: Config) -> None:
    """Checks that the work dir of a run that begins anew is not that of another task.

    Raises:
        ConfigError: There are checkpoints of another model in it.
    """
    checkpoints = numbered_checkpoints(cfg.work_dir)
    own, other = str(cfg.model.get("type")).split(".")[-1], _model_of(checkpoints[-1]) if checkpoints else None
    if other not in (None, own):
        raise ConfigError(
            f"The work dir {os.path.abspath(cfg.work_dir)} holds the checkpoints of a run with another model ({other}, "
            f"this config has {own}): {name_some((path.name for path in reversed(checkpoints)), 3)}. Choose another "
            "folder with --work-dir, or move them away"
        )


def _model_of(checkpoint: Path) -> str | None:
    """The name of a checkpoint's model; None if it does not tell, or cannot be read."""
    try:
        model = saved_config(str(checkpoint)).get("model")
    except (CheckpointError, ValueError):
        return None
    return str(model["type"]).split(".")[-1] if isinstance(model, Mapping) and "type" in model else None


def saved_config(path: str) -> dict[str, Any]:
    """The config that a checkpoint of a run keeps. Its tensors are not loaded.

    Raises:
        CheckpointError: The file cannot be read.
        ValueError: It keeps none, or one that is not plain settings.
    """
    return _config_of(_without_tensors(path))


def _without_tensors(path: str) -> dict[str, Any]:
    """What a checkpoint holds, its tensors without their values; safetensors hold nothing else."""
    return {} if path.endswith(".safetensors") else read_checkpoint(path, "meta").content


def _config_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    meta = checkpoint.get("meta")
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        raise ValueError("it keeps no config")
    return parse_config(text)


def check_resumed_config(cfg: Config, checkpoint_path: str) -> None:
    """Compares the config with that of the run that is to go on; prints what has changed and may.

    Args:
        cfg: The config.
        checkpoint_path: A local file or folder; any other address is not looked at.

    Raises:
        CheckpointError: The file cannot be read.
        ConfigError: That run cannot go on with this config: names the keys that differ.
    """
    if not os.path.exists(checkpoint_path):
        return
    checkpoint = _without_tensors(checkpoint_path)
    try:
        old = _config_of(checkpoint)
    except ValueError as error:
        print(f"{checkpoint_path}: its config cannot be compared with the present one ({error})")
        return
    found = list(differences(old, cfg.to_dict()))
    fatal = [one for one in found if is_fatal(one, checkpoint)]
    if fatal:
        raise ConfigError(
            f"The run that wrote {checkpoint_path} cannot go on with this config, which differs from its own in\n"
            f"{_listed(fatal)}\n"
            "Set these back, or choose the work dir of another run. To begin a new run from these weights, leave "
            f"--resume out, with --cfg-options load_from={checkpoint_path} and another --work-dir"
        )
    restored = [one for one in found if RESTORED.fullmatch(one[0])]
    changed = [one for one in found if one not in restored]
    if changed:
        print(f"The config has changed since {checkpoint_path} was written:\n{_listed(changed)}")
    if restored:
        print(
            "These changes have no effect: optimizer, schedule and seed go on as they are in "
            f"{checkpoint_path}\n{_listed(restored)}"
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Yields (dotted key, old value, new value) of what a training depends on."""
    before, after = (dict(leaves({root: cfg[root] for root in ROOTS if cfg.get(root)})) for cfg in (old, new))
    for key in sorted({**before, **after}, key=lambda key: key.count(".")):  # what matters most comes first
        values = before.get(key), after.get(key)  # None is as good as nothing
        if not HARMLESS.fullmatch(key) and not _equal(key, *values):
            yield key, *values


def _equal(key: str, old: Any, new: Any) -> bool:
    if isinstance(old, str) and isinstance(new, str):
        if key.endswith(".type"):  # with or without the scope or module
            return old.split(".")[-1] == new.split(".")[-1]
        return os.path.basename(old.rstrip("/")) == os.path.basename(new.rstrip("/"))  # data that was moved
    return bool(old == new)


def is_fatal(difference: Difference, checkpoint: Mapping[str, Any]) -> bool:
    """Whether a run cannot go on with a change."""
    key, *_ = difference
    if key == "train_dataloader.batch_size":
        return within_grouped_epoch(checkpoint)
    return bool(FATAL.fullmatch(key))


def within_grouped_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a run was within an epoch whose batches a :class:`ResumableBatchSampler` had put together."""
    match checkpoint:
        case {
            "meta": {"epoch": int(epoch), "iter": int(done)},
            "message_hub": {
                "runtime_info": {"data_place": {"epoch": int(started), "iter": int(first), "grouped": True}}
            },
        }:
            return epoch == started and done > first
    return False


def _listed(found: list[Difference]) -> str:
    return list_some((f"{ascii(key)[1:-1]}: {_shown(old)} -> {_shown(new)}" for key, old, new in found), 10)


def _shown(value: Any) -> str:
    return "not set" if value is None else shorten(repr(value), 60)
