"""What the tools share: options, the config that comes of them, and errors without a traceback.

Importing it checks the installed packages, so tools import it before anything of OpenMMLab's.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mmswinv2.environment import BrokenEnvironmentError, check_environment

USER_ERROR = 2


def fail(error: Exception) -> NoReturn:
    """Exits with the error's message on stderr, without a traceback."""
    print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
    sys.exit(USER_ERROR)


try:
    check_environment()  # before anything imports OpenMMLab's packages, whose own errors are long and obscure
except BrokenEnvironmentError as error:
    fail(error)

# ruff: noqa: E402, what follows imports OpenMMLab's packages
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import mmswinv2
from mmswinv2.checkpoint import HUB_PREFIX, CheckpointError
from mmswinv2.datasets import UnreadableImageError
from mmswinv2.engine.preflight import ConfigError, check_config, check_work_dir, explain_unknown_type

CFG_OPTIONS = (
    "settings that override the config's, as key=value; lists as key='[a,b]' or key=a,b, tuples as "
    "key='[(a,b),(c,d)]', with quotes and without spaces"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of every run."""
    parser.add_argument("--work-dir", help="folder for logs and checkpoints; default: work_dirs/NAME_OF_THE_CONFIG")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help=CFG_OPTIONS)
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="job launcher")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help="set by the launcher")


def load_config(path: str, cfg_options: dict | None = None) -> Config:
    """Reads a config file and merges ``--cfg-options`` into it.

    Raises:
        ConfigError: If the file is missing or not valid, or an option does not fit it.
    """
    if not os.path.isfile(path):
        raise ConfigError(f"There is no config file {os.path.abspath(path)}")
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is Python of the user's own, it raises anything
        raise ConfigError(f"The config {path} cannot be read: {type(error).__name__}: {error}") from error
    try:
        cfg.merge_from_dict(cfg_options or {})
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"--cfg-options do not fit the config {path}: {error}") from error
    return cfg


def run_config(args: argparse.Namespace) -> Config:
    """The config of a training or test run: the file, the options, launcher and work dir."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or os.path.join("work_dirs", Path(args.config).stem)
    return cfg


def check_file(path: str, what: str) -> None:
    """Raises :class:`ConfigError` if a local file is missing; addresses such as https:// and hf-hub: pass."""
    if "://" not in path and not path.startswith(HUB_PREFIX) and not os.path.isfile(path):
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
    """
    if cfg.get("load_from"):
        check_file(cfg.load_from, "checkpoint")
    check_work_dir(cfg.work_dir)
    if is_main_process():
        check_config(cfg, loaders)
    checks = [
        dict(type="mmswinv2.DataCheckHook"),
        dict(type="mmswinv2.WeightsCheckHook", whole_model="train_dataloader" not in loaders),
    ]
    types = [check["type"] for check in checks]
    # A dumped config has them already, with the settings of its own run.
    hooks = [hook for hook in cfg.get("custom_hooks") or [] if hook.get("type") not in types]
    cfg.custom_hooks = [*hooks, *checks]
    if cfg.get("default_scope") == "mmdet":
        from mmdet.utils import setup_cache_size_limit_of_dynamo

        setup_cache_size_limit_of_dynamo()
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)


def is_main_process() -> bool:
    """Whether this is the first process of the launch, asked before the processes know each other."""
    ranks = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"))
    return next((int(rank) for rank in ranks if rank is not None), 0) == 0


def explained(action: Callable[[], object], cfg: Config) -> None:
    """Runs ``action``; an error in the config becomes a :class:`ConfigError`, any other passes as it is."""
    try:
        action()
    except KeyError as error:
        explanation = explain_unknown_type(error, cfg)
        if explanation is None:
            raise
        raise explanation from error
    except UnreadableImageError as error:
        # From a worker the message is its traceback, which ends in the error's name and what it said.
        image = str(error).strip().rpartition(f"{UnreadableImageError.__name__}: ")[2]
        raise ConfigError(
            f"{image}\n  Mend the file or, in training, skip such images: skip_unreadable=True in the data set"
        ) from error
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError) or not raised_on_purpose(error):
            raise
        raise ConfigError(str(error)) from error


def raised_on_purpose(error: Exception) -> bool:
    """Whether a ``raise`` statement of mmswinv2 itself made the error: its message is then meant for the user."""
    origin = traceback.extract_tb(error.__traceback__)[-1]
    package = Path(mmswinv2.__file__).parent
    return Path(origin.filename).is_relative_to(package) and (origin.line or "").startswith("raise ")


def run(main: Callable[[], int | None]) -> None:
    """Runs a tool's ``main`` and exits; the user's errors go to stderr as a message, with status 2."""
    try:
        sys.exit(main())
    except (ConfigError, CheckpointError) as error:
        fail(error)
