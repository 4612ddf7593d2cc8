"""Prints a config with its bases and options merged, shows the model that it builds, and checks its data.

The settings are checked first. With --check they alone are: nothing is built, and neither paths nor data are looked
at, so a config can be checked on a machine that has no data. The model is built without memory for its weights, so one
of any size is shown at once.
"""

import argparse

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from ..engine.strategies import check_strategy
from ..errors import ConfigError
from ..models.backbone import SwinTransformerV2, backbones_in
from ..preflight import LOADERS, check_config, check_settings
from .inspect import print_table
from .runs import add_config_arguments, explained, load_config, print_remark


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_config_arguments(parser)
    parser.add_argument(
        "--check", action="store_true", help="only look for mistakes in the settings; no model, no paths, no data"
    )


def run(args: argparse.Namespace) -> None:
    """Prints the config, shows the model, checks the data."""
    cfg = load_config(args.config, args.cfg_options)
    for remark in check_settings(cfg):
        print_remark(remark)
    check_strategy(cfg)
    if args.check:
        print("The settings of the config hold together; its paths and data were not looked at")
        return
    print(cfg.pretty_text)
    if cfg.get("model") is None:
        raise ConfigError("The config has no model: is a _base_ file missing from it?")
    explained(lambda: print_model(build_on_meta(cfg)), cfg)
    loaders = tuple(loader for loader in LOADERS if cfg.get(loader) is not None)
    explained(lambda: check_config(cfg, loaders), cfg)
    print(f"The config holds together, and so does the data of {', '.join(loaders) or 'no data loader'}")


def build_on_meta(cfg: Config) -> nn.Module:
    """Builds the model of a config with tensors that take no memory."""
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")), torch.device("meta"):
        return MODELS.build(cfg.model)


def print_model(model: nn.Module) -> None:
    """Prints the parameters of a model and its parts, and of each SwinV2 in it the levels and windows."""
    rows = {"model": f"{type(model).__name__}, {millions(model)} million parameters"}
    for name, part in model.named_children():
        if any(True for _ in part.parameters()):
            rows[name] = f"{type(part).__name__}, {millions(part)} million"
    print_table("Model", rows)
    for name, backbone in backbones_in(model):
        print_table(name or "backbone", levels(backbone))


def millions(module: nn.Module) -> str:
    """Counts parameters, in millions to a tenth."""
    return f"{sum(parameter.numel() for parameter in module.parameters()) / 1e6:.1f}"


def levels(backbone: SwinTransformerV2) -> dict[str, str]:
    """Describes each stage: its channels, stride, blocks and window, and whether it is an output."""
    rows = {}
    for stage, (h, w) in enumerate(backbone.window_sizes):
        stride = backbone.patch_size * 2**stage
        output = f"output norm{stage}" if stage in backbone.out_indices else "no output"
        rows[f"stage {stage}"] = (
            f"{backbone.arch.stage_dims[stage]} channels, stride {stride}, {backbone.arch.depths[stage]} blocks of "
            f"{backbone.arch.num_heads[stage]} heads, window {h} x {w}, {output}"
        )
    return rows
