"""Several processes in one run: how they meet, and if one is gone or hangs, how the others end."""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from torch import distributed

from ..errors import ConfigError, TrainingError
from ..upstream import join_processes_on_cpus, lost_process

TIMEOUT = 600  # seconds, NCCL's own default; gloo's is 1800. A data loader gives up before, and names its image
TOLD_BY = {  # a variable by which each launcher tells a process its number
    "pytorch": ("RANK", "torchrun --nproc_per_node N"),
    "slurm": ("SLURM_PROCID", "srun"),
    "mpi": ("OMPI_COMM_WORLD_LOCAL_RANK", "mpirun"),
}
RESTARTS = (
    "torchrun may start processes again that then look for each other at old addresses, and end. With "
    "--rdzv_backend c10d, or --standalone, set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment of torchrun"
)
DDP = ("MMDistributedDataParallel", "MMSeparateDistributedDataParallel")


def join_processes(cfg: Config) -> list[str]:
    """Prepares a config for several processes, and on CPUs lets them meet; MMEngine does it on GPUs.

    Args:
        cfg: The config, with ``launcher``.

    Returns:
        What is different on CPUs from what the config says, and what stands in the way of restarts, in sentences.

    Raises:
        ConfigError: No launcher started this process, or NCCL cannot let the processes talk.
    """
    limit_waiting(cfg)
    launcher = cfg.get("launcher", "none")
    if launcher == "none":
        return []
    variable, starter = TOLD_BY[launcher]
    if variable not in os.environ and not is_distributed():
        raise ConfigError(
            f"--launcher {launcher}: the variable {variable} is not set, so nothing has started several processes: "
            f"start the command by {starter}"
        )
    told = [RESTARTS] if _restarts_at_old_addresses() else []
    if get_device() == "cpu":
        return [*told, *_join_on_cpus(cfg)]
    if get_device() == "cuda" and cfg.env_cfg.dist_cfg.backend == "nccl":
        _check_nccl()
    return told


def _check_nccl() -> None:
    """Refuses two processes on one GPU, which NCCL finds out at the first gradients, and a torch without NCCL."""
    count, processes = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if processes > count:
        raise ConfigError(
            f"{processes} processes were started on this machine, which has GPUs for {count}: "
            f"--nproc_per_node {count}, or set CUDA_VISIBLE_DEVICES to more"
        )
    if not distributed.is_nccl_available():
        raise ConfigError(
            f"this build of torch ({torch.__version__}) has no NCCL, by which processes talk on GPUs: install one that "
            "has, or set env_cfg.dist_cfg.backend='gloo'"
        )


def _restarts_at_old_addresses() -> bool:
    """Whether processes that torchrun starts again would look each other up where the old ones had been.

    They would be told by the store of torchrun itself, which outlives them (pytorch #135712 and #167288).
    """
    restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0))
    return restarts > 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def limit_waiting(cfg: Config) -> None:
    """Sets how long the processes of a run wait for each other, where the config does not say it."""
    environment = cfg.get("env_cfg") or {}
    own = {"backend": "nccl", "timeout": TIMEOUT}  # the backend is MMEngine's own default
    cfg.env_cfg = {**environment, "dist_cfg": {**own, **(environment.get("dist_cfg") or {})}}


def _join_on_cpus(cfg: Config) -> list[str]:
    """gloo in the place of NCCL, DDP without a GPU of its own, and no SyncBN, of which PyTorch has none for CPUs."""
    told = []
    if cfg.env_cfg.dist_cfg.backend == "nccl":
        cfg.env_cfg.dist_cfg.backend = "gloo"
        told.append("there is no GPU, so the processes talk by gloo in the place of nccl")
    wrapper = cfg.get("model_wrapper_cfg") or dict(
        broadcast_buffers=False, find_unused_parameters=cfg.get("find_unused_parameters", False)
    )
    if wrapper.setdefault("type", DDP[0]) in DDP:
        cfg.model_wrapper_cfg = {**wrapper, "device_ids": None}
    if cfg.pop("sync_bn", None) is not None or _use_batch_norm(cfg.model):
        told.append("SyncBN needs GPUs, so each process has the BatchNorm statistics of its own batch")
    if not is_distributed():
        join_processes_on_cpus(cfg.launcher, cfg.env_cfg.dist_cfg)
    return told


def _use_batch_norm(config: Any) -> bool:
    """Puts BN in the place of SyncBN, in a nested config; returns whether there was any."""
    found = False
    if isinstance(config, MutableMapping):
        if config.get("type") in ("SyncBN", "MMSyncBN"):
            config["type"], found = "BN", True
        config = list(config.values())
    if isinstance(config, list | tuple):
        for value in config:
            found = _use_batch_norm(value) or found
    return found


@contextmanager
def lost_processes_named() -> Iterator[None]:
    """Turns an error that comes from another process' end into a :class:`TrainingError`.

    Raises:
        TrainingError: Another process is gone or late.
    """
    try:
        yield
    except RuntimeError as error:
        told = lost_process(error)
        if told is None:
            raise
        raise TrainingError(
            "Another process of this run has ended, or has not answered for env_cfg.dist_cfg.timeout seconds: its own "
            f"output says why. --resume goes on from the last checkpoint. ({told})"
        ) from error
