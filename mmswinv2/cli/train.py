"""Trains what a config describes: a detector, a segmentor, a classifier or a SimMIM pretraining."""

import argparse

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import find_latest_checkpoint

from ..errors import ConfigError, EnvironmentProblem
from ..preflight import LOADERS
from .runs import add_config_arguments, add_run_arguments, build_runner, explained, require, run_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options, those of MMDetection's tools/train.py."""
    add_config_arguments(parser)
    add_run_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CKPT",
        help="go on from this checkpoint; without a value from the latest in the work dir, if there is one",
    )
    parser.add_argument("--amp", action="store_true", help="train in mixed precision")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by batch size / auto_scale_lr.base_batch_size",
    )


def run(args: argparse.Namespace) -> None:
    """Checks everything, then trains."""
    cfg = run_config(args, training=True)
    require(cfg, "model", "train_dataloader", "train_cfg", "optim_wrapper")
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        enable_auto_scale_lr(cfg)
    if args.resume:
        enable_resume(cfg, args.resume)
    explained(lambda: build_runner(cfg, LOADERS).train(), cfg)


def enable_resume(cfg: Config, checkpoint: str) -> None:
    """Goes on from a checkpoint. ``auto`` means the latest in the work dir. Without one, training starts anew."""
    if checkpoint == "auto":
        checkpoint = find_latest_checkpoint(cfg.work_dir)
    if checkpoint:
        cfg.resume = True
        cfg.load_from = checkpoint
    else:
        print(f"No checkpoint to resume in {cfg.work_dir}: training starts anew")


def enable_amp(cfg: Config) -> None:
    """Turns mixed precision on, with a dynamic loss scale. A config that has it already stays as it is."""
    wrapper = cfg.optim_wrapper.get("type", "OptimWrapper")
    if wrapper == "AmpOptimWrapper":
        return
    if wrapper != "OptimWrapper":
        raise ConfigError(f"--amp works with optim_wrapper.type='OptimWrapper', the config has {wrapper!r}")
    if get_device() == "cpu":
        raise EnvironmentProblem("--amp needs a GPU, this machine has none: leave it out")
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    cfg.optim_wrapper.loss_scale = "dynamic"


def enable_auto_scale_lr(cfg: Config) -> None:
    """Turns the scaling of the learning rate on."""
    if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
        raise ConfigError("--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config")
    cfg.auto_scale_lr.enable = True
