"""What a strategy changes in a config: MMEngine's own settings, and the runner."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config

from ...checkpoint.sharded import can_write_parts
from ...errors import ConfigError

WRAPPER = "MMDistributedDataParallel"


def apply_strategy(cfg: Config) -> None:
    """Carries ``cfg.strategy`` out, if it is one of these; once is as good as twice.

    A run of one process has nothing to share, and trains as if there were no strategy.

    Raises:
        ConfigError: The strategy is unknown, or the config has something that it cannot work with.
    """
    chosen = cfg.get("strategy")
    if chosen is None or cfg.get("runner_type") == "FlexibleRunner":  # then it is a strategy of MMEngine's
        return
    settings = dict(type=chosen) if isinstance(chosen, str) else dict(chosen)
    name = settings.pop("type", None)
    if name not in STRATEGIES:
        raise ConfigError(
            f"strategy={name!r} is unknown, choose one of {', '.join(STRATEGIES)}; MMEngine's own, such as "
            "DeepSpeedStrategy, need runner_type='FlexibleRunner'"
        )
    if cfg.get("launcher", "none") == "none":
        return
    try:
        STRATEGIES[name](cfg, **settings)
    except TypeError as error:
        raise ConfigError(f"strategy {name}: {str(error).partition('() ')[2]}") from error


def check_strategy(cfg: Config) -> None:
    """Finds out whether several processes could train with a config, which stays as it is.

    Raises:
        ConfigError: As :func:`apply_strategy`.
    """
    several = copy.deepcopy(cfg)
    several.launcher = "pytorch"
    apply_strategy(several)


def data_parallel(cfg: Config, static_graph: bool = False, bucket_cap_mb: int = 25) -> None:
    """Each process has all of the model; gradients are averaged while the backward pass goes on.

    Gradients are views into the buckets that are sent, so there is no second copy of them.

    Args:
        cfg: The config.
        static_graph: Whether all parameters take part in every iteration, in the same order. Then DDP learns the
            order, and ``with_cp`` may meet a parameter twice.
        bucket_cap_mb: MiB that are sent at once.
    """
    _refuse_wrapper(cfg)
    cfg.model_wrapper_cfg = dict(
        type=WRAPPER,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get("find_unused_parameters", False),
        gradient_as_bucket_view=True,
        static_graph=static_graph,
        bucket_cap_mb=bucket_cap_mb,
    )


def parted_optimizer(cfg: Config, **settings: Any) -> None:
    """``ddp``, and each process keeps the optimizer's state of some of the parameters and updates those (ZeRO-1).

    Args:
        cfg: The config.
        settings: As in :func:`data_parallel`.
    """
    data_parallel(cfg, **settings)
    _take_runner(cfg, "mmswinv2.PartedOptimizerRunner")


def sharded(cfg: Config) -> None:
    """Each process has a part of parameters, gradients and the optimizer's state; a block is whole while it computes.

    Raises:
        ConfigError: The config wraps its model in its own way, or this torch cannot write checkpoints in parts.
    """
    _refuse_wrapper(cfg)
    if not can_write_parts():
        raise ConfigError(
            f"strategy fsdp2 needs a newer torch than {torch.__version__}, whose torch.distributed.checkpoint cannot "
            "write safetensors by several processes: 2.13 can. Or take ddp or zero1"
        )
    _take_runner(cfg, "mmswinv2.ShardedRunner")


def _refuse_wrapper(cfg: Config) -> None:
    wrapper = cfg.get("model_wrapper_cfg")
    if wrapper is not None and wrapper.get("type", WRAPPER) != WRAPPER:
        raise ConfigError(f"strategy and model_wrapper_cfg (type {wrapper['type']!r}) exclude each other: remove one")


def _take_runner(cfg: Config, name: str) -> None:
    if cfg.get("runner_type", name) not in (name, "Runner"):
        raise ConfigError(f"strategy and runner_type={cfg.runner_type!r} exclude each other: remove one")
    cfg.runner_type = name


STRATEGIES: dict[str, Callable[..., None]] = {"ddp": data_parallel, "zero1": parted_optimizer, "fsdp2": sharded}
