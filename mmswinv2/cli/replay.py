"""Runs the batch again at which a training stopped, with the weights that it had: losses, layers, gradients.

REPORT is the file bad_batch_iter_N.json in the run's work dir. Config, weights and batch are found beside it.
"""

import argparse
import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from ..checkpoint import read_checkpoint
from ..engine.bad_batch import bad_layer, describe_layer
from ..engine.batch_file import from_plain
from ..engine.examine import Examination, bad_gradients, examine
from ..engine.random_state import set_random_state
from ..errors import CheckpointError, ConfigError, name_some
from .inspect import print_table
from .runs import check_file, explained, load_config

LAYERS = 10  # rows of the table of layers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("report", metavar="REPORT", help="bad_batch_iter_N.json of a run")
    parser.add_argument("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one")


def run(args: argparse.Namespace) -> None:
    """Rebuilds the moment and prints what the model makes of it."""
    report = read_report(args.report)
    folder = Path(args.report).parent
    device = args.device or get_device()
    cfg = load_config(str(folder / report["config"]))
    explained(lambda: replay(report, folder, cfg, device), cfg)


def read_report(path: str) -> dict[str, Any]:
    """Reads a report.

    Raises:
        ConfigError: It is none, or there is nothing to replay.
    """
    check_file(path, "report")
    try:
        report = json.loads(Path(path).read_text())
        wanted = {name: report[name] for name in ("config", "checkpoint", "batch")}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no report of a bad batch: give bad_batch_iter_N.json of a run") from error
    missing = [name for name, file in wanted.items() if file is None]
    if missing:
        raise ConfigError(f"{path} names no {' and no '.join(missing)}, so there is nothing to run again")
    return report


def replay(report: dict[str, Any], folder: Path, cfg: Config, device: str) -> None:
    """Runs the batch of a report forward and backward, and prints the tables."""
    content = read_checkpoint(str(folder / report["batch"])).content
    model = build(cfg, str(folder / report["checkpoint"]), device)
    set_random_state(content["random_state"])
    with autocast(report["autocast"], device):
        examination, loss = examine(model, from_plain(content["batch"]))
    loss.backward()
    print_examination(report, examination, bad_gradients(model))


def build(cfg: Config, checkpoint: str, device: str) -> nn.Module:
    """Builds the model of a config, with the weights that a training had, not with their average.

    Raises:
        CheckpointError: The weights are of another model.
    """
    cfg.model.pop("init_cfg", None)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
        model = MODELS.build(cfg.model)
    content = read_checkpoint(checkpoint).content
    try:
        model.load_state_dict(trained_weights(content))
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint} does not fit the model of the config: {error}") from error
    return model.to(device).train()


def trained_weights(content: dict[str, Any]) -> dict[str, Tensor]:
    """Returns the weights that the optimizer works on. With EMA, MMEngine keeps them under the average's name."""
    averaged = content.get("ema_state_dict", {})
    own = {name.removeprefix("module."): value for name, value in averaged.items() if name.startswith("module.")}
    return {**content["state_dict"], **own}


def autocast(dtype: str | None, device: str) -> AbstractContextManager:
    """Returns the context of the run's mixed precision."""
    return torch.autocast(torch.device(device).type, getattr(torch, dtype)) if dtype else nullcontext()


def print_examination(report: dict[str, Any], examination: Examination, gradients: list[str]) -> None:
    """Prints the tables of losses and layers."""
    before = report["losses"]
    print_table(
        f"Iteration {report['iteration']}: {name_some(report['images'])}",
        {name: f"{value:.6g} (in the run: {before.get(name)})" for name, value in examination.losses.items()},
    )
    ranked = sorted(examination.layers, key=lambda layer: layer.largest, reverse=True)[:LAYERS]
    print_table(
        "Largest activations",
        {
            describe_layer(layer): f"{layer.largest:.4g}, {layer.not_finite} of {layer.values} values not finite"
            for layer in ranked
        },
    )
    layer = bad_layer(gradients, examination)
    print(f"It begins in: {describe_layer(layer) if layer else 'no layer, all is finite'}")
    print(f"Gradients that are not finite: {name_some(gradients) or 'none'}")
