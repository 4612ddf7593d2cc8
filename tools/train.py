#!/usr/bin/env python
"""Trains what a config describes: a detector, a segmentor, a classifier or a pretraining.

python tools/train.py CONFIG [--work-dir D] [--resume [CKPT]] [--amp] [--auto-scale-lr] [--cfg-options KEY=VALUE ...]
"""

import argparse

from command_line import add_options, build_runner, explained, require, run, run_config
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import find_latest_checkpoint

from mmswinv2.engine.preflight import LOADERS, ConfigError


def main() -> None:
    """Reads the options, checks everything, trains."""
    args = parse_args()
    cfg = run_config(args)
    require(cfg, "model", "train_dataloader", "train_cfg", "optim_wrapper")
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        enable_auto_scale_lr(cfg)
    if args.resume:
        enable_resume(cfg, args.resume)
    explained(lambda: build_runner(cfg, LOADERS).train(), cfg)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a model.")
    parser.add_argument("config", help="config file")
    add_options(parser)
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
    return parser.parse_args()


def enable_resume(cfg: Config, checkpoint: str) -> None:
    """Goes on from a checkpoint; ``auto`` is the latest of the work dir, and without one training starts anew."""
    if checkpoint == "auto":
        checkpoint = find_latest_checkpoint(cfg.work_dir)
    if checkpoint:
        cfg.resume = True
        cfg.load_from = checkpoint
    else:
        print(f"No checkpoint to resume in {cfg.work_dir}: training starts anew")


def enable_amp(cfg: Config) -> None:
    """Turns mixed precision on, with a dynamic loss scale; a config that has it already stays as it is."""
    wrapper = cfg.optim_wrapper.get("type", "OptimWrapper")
    if wrapper == "AmpOptimWrapper":
        return
    if wrapper != "OptimWrapper":
        raise ConfigError(f"--amp works with optim_wrapper.type='OptimWrapper', the config has {wrapper!r}")
    if get_device() == "cpu":
        raise ConfigError("--amp needs a GPU, this machine has none: leave it out")
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    cfg.optim_wrapper.loss_scale = "dynamic"


def enable_auto_scale_lr(cfg: Config) -> None:
    """Turns the scaling of the learning rate on."""
    if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
        raise ConfigError("--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config")
    cfg.auto_scale_lr.enable = True


if __name__ == "__main__":
    run(main)
