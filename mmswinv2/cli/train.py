"""Trains what a config describes: a detector, a segmentor, a classifier or a SimMIM pretraining."""

import argparse
import os
from contextlib import nullcontext
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device

from ..checkpoint import HUB_PREFIX, check_whole, last_written, newest_whole, remove_partial, set_aside
from ..errors import CheckpointError, ConfigError, EnvironmentProblem, TrainingError
from ..preflight import LOADERS, check_new_run, check_resumed_config, check_work_dir
from .disk import disk_faults_explained, stop_on_lost_log, warn_of_little_room
from .run_lock import only_run_in
from .runs import (
    add_config_arguments,
    add_run_arguments,
    build_runner,
    check_file,
    explained,
    is_main_process,
    require,
    run_config,
)

OUT_OF_MEMORY = (
    "The GPU has too little memory for this training. Less is needed with a smaller train_dataloader.batch_size, with "
    "model.backbone.with_cp=True, with --amp, and on several GPUs with strategy=fsdp2; mmswinv2 plan tells how much. "
    "--resume goes on from the last checkpoint. ({})"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options, those of MMDetection's tools/train.py."""
    add_config_arguments(parser)
    add_run_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CKPT",
        help="go on from this checkpoint; without a value from the newest whole one in the work dir, if there is any",
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
    check_work_dir(cfg.work_dir)
    lock = only_run_in(cfg.work_dir) if is_main_process() else nullcontext()
    with disk_faults_explained(cfg.work_dir), lock:
        if args.resume or cfg.get("resume"):
            enable_resume(cfg, args.resume or cfg.get("load_from") or "auto")
        if is_main_process():
            settle_history(cfg)
        explained(lambda: train(cfg), cfg)


def train(cfg: Config) -> None:
    """Builds the runner and trains."""
    runner = build_runner(cfg, LOADERS)
    stop_on_lost_log(runner.logger)
    if is_main_process():
        warn_of_little_room(runner)
    try:
        runner.train()
    except torch.OutOfMemoryError as error:
        raise TrainingError(OUT_OF_MEMORY.format(str(error).partition("\n")[0])) from error


def settle_history(cfg: Config) -> None:
    """Checks the run that is to go on, and gives a new one its work dir for itself.

    Raises:
        ConfigError: The run cannot go on with this config, or the work dir is another model's.
    """
    if cfg.get("resume"):
        check_resumed_config(cfg, cfg.load_from)
        if Path(cfg.load_from).resolve().parent in [folder.resolve() for folder in run_folders(cfg)]:
            return  # it is the run of this work dir
    check_new_run(cfg)
    check_start(cfg)
    moved = set_aside(Path(cfg.work_dir))
    if not moved:
        return
    if cfg.get("load_from") and (place := moved.get(Path(os.path.abspath(cfg.load_from)))):
        cfg.load_from = str(place)
    folder = next(iter(moved.values())).parent
    print(f"This is a new run. What an earlier one in {cfg.work_dir} has saved is kept in {folder}")


def check_start(cfg: Config) -> None:
    """Refuses a start from the run's own work dir, whose checkpoints are set aside, where other processes read it too.

    Raises:
        ConfigError: ``load_from`` is there, and a launcher started this process.
    """
    start, launcher = cfg.get("load_from"), cfg.get("launcher", "none")
    if start and launcher != "none" and Path(start).resolve().parent == Path(cfg.work_dir).resolve():
        raise ConfigError(
            f"load_from={start} lies in the work dir, and a new run there sets it aside while other processes look for "
            "it: give another --work-dir, or --resume to go on with that run"
        )


def enable_resume(cfg: Config, checkpoint: str) -> None:
    """Goes on from a checkpoint. ``auto`` means the newest whole one; in an empty work dir training starts anew.

    Raises:
        CheckpointError: The checkpoint, or all that the work dir has, is damaged or gone.
    """
    found = newest_checkpoint(cfg) if checkpoint == "auto" else checkpoint
    if found is None:
        if is_main_process():
            print(f"No checkpoint to resume in {cfg.work_dir}: training starts anew")
        return
    if checkpoint != "auto":
        check_given(found, cfg)
    cfg.resume = True
    cfg.load_from = found


def newest_checkpoint(cfg: Config) -> str | None:
    """The newest whole checkpoint of the run in the work dir; None if no run left one there.

    Raises:
        CheckpointError: A run was here, but none of its checkpoints is whole.
    """
    folders, last = run_folders(cfg), last_written(Path(cfg.work_dir))
    newest = newest_whole(folders)
    if is_main_process():
        for path in remove_partial(folders):
            print(f"Removed {path}, which a save that was cut off had left")
        for fault in newest.passed_over:
            print(f"Passed over: {fault}")
    if newest.path is not None:
        return str(newest.path)
    if last is not None and "://" in last:
        return last
    if newest.passed_over or last is not None:
        raise CheckpointError(
            f"--resume: there was a run in {cfg.work_dir}, but no whole checkpoint is left of it"
            + (f" (the last was {last})" if last else "")
            + ". To begin anew, remove what is left, or give another --work-dir"
        )
    return None


def run_folders(cfg: Config) -> list[Path]:
    """Where the checkpoints of a run lie: its work dir, MMEngine's ``out_dir``, and where the last one was written."""
    work_dir, last = Path(cfg.work_dir), last_written(Path(cfg.work_dir))
    hook = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    folders = [work_dir, Path(hook.get("out_dir") or work_dir.parent) / work_dir.name]
    return folders if last is None or "://" in last else [*folders, Path(last).parent]


def check_given(checkpoint: str, cfg: Config) -> None:
    """Refuses a checkpoint that is damaged, and names the newest one that is whole.

    Raises:
        ConfigError: There is no such file.
        CheckpointError: The file is damaged.
    """
    check_file(checkpoint, "checkpoint")
    if "://" in checkpoint or checkpoint.startswith(HUB_PREFIX):
        return  # looked at when it is there
    try:
        check_whole(Path(checkpoint))
    except CheckpointError as error:
        newest = newest_whole([Path(checkpoint).parent, *run_folders(cfg)]).path
        advice = f"The newest whole checkpoint is {newest}: --resume {newest}" if newest else "No other one is whole"
        raise CheckpointError(f"{error}\n{advice}") from error


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
