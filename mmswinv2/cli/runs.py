"""What the commands share that train, test or predict: their config, their options, and the checks before a run."""

import argparse
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..checkpoint import (
    HUB_PREFIX,
    is_sharded,
    openmmlab,  # noqa: F401, lets MMEngine read checkpoints safely
)
from ..datasets.named_pipeline import name_pipelines
from ..engine.processes import join_processes, lost_processes_named
from ..engine.strategies import apply_strategy
from ..engine.workers import watch_workers, worker_faults_named
from ..errors import ConfigError, UserError
from ..preflight import (
    LOADERS,
    check_config,
    check_settings,
    check_work_dir,
    explain_failed_build,
    explain_unknown_type,
)
from .cfg_options import add_cfg_options

FINITE_LOSS = "mmswinv2.FiniteLossHook"
CONFIG = "config file, or one that comes with a package: mmswinv2::mask_rcnn/NAME.py"


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the config and the settings that override it."""
    parser.add_argument("config", metavar="CONFIG", help=CONFIG)
    add_cfg_options(parser)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a training or test run."""
    parser.add_argument("--work-dir", help="folder for logs and checkpoints; default: work_dirs/NAME_OF_THE_CONFIG")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="job launcher")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help="set by the launcher")


def load_config(path: str, cfg_options: dict | None = None) -> Config:
    """Reads a config and merges ``--cfg-options`` into it.

    Args:
        path: A file, or the name of a config in an installed package, ``PACKAGE::FOLDER/NAME.py``.
        cfg_options: Settings by dotted key.

    Raises:
        ConfigError: The config is missing or not valid, or an option does not fit it.
    """
    in_package = "::" in path
    if not in_package and not os.path.isfile(path):
        raise ConfigError(f"There is no config file {os.path.abspath(path)}")
    try:
        cfg = read_from_package(path) if in_package else Config.fromfile(path)
    except Exception as error:  # a config is Python of the user's own, it raises anything
        raise ConfigError(f"The config {path} cannot be read: {type(error).__name__}: {error}") from error
    try:
        cfg.merge_from_dict(cfg_options or {})
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(f"--cfg-options do not fit the config {path}: {error}") from error
    return cfg


def read_from_package(name: str) -> Config:
    """Reads ``PACKAGE::FOLDER/NAME.py``; MMEngine's hub would install a package that is missing, without asking.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    package = name.partition("::")[0]
    if find_spec(package) is None:
        raise ModuleNotFoundError(f"the package {package} is not installed")
    return get_config(name)


def run_config(args: argparse.Namespace, training: bool) -> Config:
    """Returns the config of a training or test run: the file with its options, launcher and work dir.

    Raises:
        ConfigError: The config cannot be read, or its settings have mistakes.
    """
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    for remark in check_settings(cfg, training):
        print_remark(remark)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or os.path.join("work_dirs", Path(args.config).stem)
    return cfg


def print_remark(remark: str) -> None:
    """Prints what may be meant but is unusual, once for all processes of a launch."""
    if is_main_process():
        print(f"Note: {remark}")


def check_file(path: str, what: str) -> None:
    """Raises :class:`ConfigError` if a local file is missing; addresses such as https:// and hf-hub: pass."""
    if (
        "://" not in path
        and not path.startswith(HUB_PREFIX)
        and not os.path.isfile(path)
        and not is_sharded(Path(path))
    ):
        raise ConfigError(f"There is no {what} {os.path.abspath(path)}")


def require(cfg: Config, *names: str) -> None:
    """Raises :class:`ConfigError` if the config lacks one of the settings ``names``."""
    for name in names:
        if cfg.get(name) is None:
            raise ConfigError(f"The config has no {name}, which this run needs: is a _base_ file missing from it?")


def build_runner(cfg: Config, loaders: tuple[str, ...]) -> Runner:
    """Checks the config and builds its runner, with hooks that check data and weights before the first iteration.

    Args:
        cfg: A whole config with ``work_dir``.
        loaders: Keys of the data loaders that the run needs.

    Raises:
        UserError: A file is missing, or the config or its data cannot work.
    """
    if cfg.get("load_from"):
        check_file(cfg.load_from, "checkpoint")
    check_work_dir(cfg.work_dir)
    if is_main_process():
        check_config(cfg, loaders)
    trains = "train_dataloader" in loaders
    own: list[dict[str, Any]] = [
        dict(type="mmswinv2.DataCheckHook"),
        dict(type="mmswinv2.WeightsCheckHook", whole_model=not trains),
    ]
    if trains:
        own += [dict(type="mmswinv2.AgreementHook"), dict(type="mmswinv2.PreemptionHook")]
        keep_whole_checkpoints(cfg)
    types = [hook["type"] for hook in own]
    # A dumped config has them already, with the settings of its own run.
    hooks = [hook for hook in cfg.get("custom_hooks") or [] if hook.get("type") not in types]
    if trains and all(hook.get("type") != FINITE_LOSS for hook in hooks):
        hooks.append(dict(type=FINITE_LOSS))  # a config may have one with settings of its own
    cfg.custom_hooks = [*hooks, *own]
    apply_strategy(cfg)
    for remark in join_processes(cfg):
        print_remark(remark)
    if cfg.get("default_scope") == "mmdet":
        from mmdet.utils import setup_cache_size_limit_of_dynamo

        setup_cache_size_limit_of_dynamo()
    runner = watch_workers(RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg))
    name_pipelines_of(runner)
    return runner


def keep_whole_checkpoints(cfg: Config) -> None:
    """Lets MMEngine's checkpoint hook remove nothing before the next checkpoint is written."""
    hooks = cfg.get("default_hooks") or {}
    hook = hooks.get("checkpoint", dict(type="CheckpointHook"))  # MMEngine's own default
    if hook is not None and hook.get("type") == "CheckpointHook":
        cfg.default_hooks = {**hooks, "checkpoint": {**hook, "type": "mmswinv2.WholeCheckpointHook"}}


def name_pipelines_of(runner: Runner) -> None:
    """Makes the data loaders of a runner name the image at which a transform fails, in worker processes too."""
    build = runner.build_dataloader
    configs = {name: runner.cfg.get(name) for name in LOADERS}

    def build_dataloader(config: dict, *args: Any, **settings: Any) -> DataLoader:
        key = next((name for name in LOADERS if configs[name] == config), "dataloader")
        loader = build(config, *args, **settings)
        name_pipelines(loader, key)
        return loader

    runner.build_dataloader = build_dataloader


def is_main_process() -> bool:
    """Whether this is the first process of the launch, asked before the processes know each other."""
    ranks = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"))
    return next((int(rank) for rank in ranks if rank is not None), 0) == 0


def explained(action: Callable[[], object], cfg: Config) -> None:
    """Runs ``action``; an error in the config becomes a :class:`ConfigError`.

    The end of a data loader's worker or of another process becomes a :class:`TrainingError`. Others pass as they are.
    """
    try:
        with worker_faults_named(), lost_processes_named():
            action()
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AssertionError, ImportError) as error:
        explanation = explain_unknown_type(error, cfg) if isinstance(error, KeyError) else None
        explanation = explanation or explain_failed_build(error, cfg)
        if explanation is None:
            raise
        raise explanation from error
