"""Counts the multiply-adds and parameters of a backbone, or of the model of a config, for one image.

mmswinv2 flops --arch tiny --window 8 --size 256 256
mmswinv2 flops CONFIG --size 800 1344

One FLOP is one multiply-add, as in the paper. Attention and the network of the position bias are counted; norms,
activations and softmax are not. Nothing is computed, so models and images of any size are counted at once.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ..analysis.flops import Cost, Counts, backbone_costs, child_costs, count_flops
from ..arch import parse_arch, per_stage_windows
from ..errors import ConfigError
from ..models import SimMIM, SwinTransformerV2
from ..models.backbone import backbones_in
from .cfg_options import add_cfg_options
from .config import build_on_meta
from .inspect import shortest
from .runs import CONFIG, explained, load_config, require

SIZE = (256, 256)
MAX_SIDE = 2**15  # pixels; a larger image has so many windows that counting them takes minutes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("config", metavar="CONFIG", nargs="?", help=f"{CONFIG}; in the place of --arch")
    parser.add_argument("--arch", help="tiny, small, base, large, huge or giant")
    parser.add_argument(
        "--window",
        nargs="+",
        metavar="N",
        help="window in tokens: one number, height and width, or one number per stage (default: 8)",
    )
    parser.add_argument("--size", nargs="+", metavar="N", help="height and width in pixels (default: 256 256)")
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Builds the model without memory, and prints a table for it and one for each SwinV2 backbone in it."""
    size = positive_numbers("--size", args.size) if args.size else SIZE
    if len(size) != 2 or max(size) > MAX_SIDE:
        raise ConfigError(
            f"--size takes height and width in pixels, at most {MAX_SIDE} each, got {' '.join(map(str, size))}"
        )
    if (args.config is None) == (args.arch is None):
        raise ConfigError("give either a CONFIG or --arch, such as --arch tiny")
    if args.config is None:
        report(named_backbone(args), size)
        return
    if args.window:
        raise ConfigError("--window goes with --arch; for a CONFIG: --cfg-options model.backbone.window_size=16")
    cfg = load_config(args.config, args.cfg_options)
    require(cfg, "model")
    explained(lambda: report(build_on_meta(cfg), size), cfg)


def report(model: nn.Module, size: tuple[int, ...]) -> None:
    """Counts one image of ``size`` (height, width) in pixels, and prints the tables."""
    counts = count(model, *size)
    pixels = f"{size[0]} x {size[1]} px"
    if not isinstance(model, SwinTransformerV2):
        print_costs(f"{type(model).__name__}, {pixels}", child_costs(model, counts))
    for name, backbone in backbones_in(model):
        title = f"{name or 'backbone'}, window {shortest(backbone.window_sizes)}, {pixels}"
        print_costs(title, backbone_costs(backbone, counts, name))
    print("One FLOP is one multiply-add, as in the paper. Norms, activations and softmax are not counted.")
    if is_two_stage(model):
        print("The RoI heads are not counted: what they cost depends on what is found in an image.")


def positive_numbers(option: str, texts: Sequence[str]) -> tuple[int, ...]:
    """Returns the numbers of an option.

    Raises:
        ConfigError: One of them is no whole number above 0.
    """
    if not all(text.isdecimal() and int(text) > 0 for text in texts):
        raise ConfigError(f"{option} takes whole numbers above 0, got {' '.join(texts)}")
    return tuple(map(int, texts))


def named_backbone(args: argparse.Namespace) -> SwinTransformerV2:
    """Builds the backbone of ``--arch`` and ``--window``, without memory."""
    if args.cfg_options:
        raise ConfigError("--cfg-options change a CONFIG, and none is given")
    arch = parse_arch(args.arch)
    numbers = positive_numbers("--window", args.window) if args.window else (8,)
    windows = per_stage_windows("--window", numbers[0] if len(numbers) == 1 else numbers, len(arch.depths))
    with torch.device("meta"):
        return SwinTransformerV2(arch=args.arch, window_size=windows)


def count(model: nn.Module, height: int, width: int) -> Counts:
    """Counts one image of ``height`` x ``width`` pixels.

    Raises:
        ConfigError: The model does not run on an image alone.
    """
    channels = next((backbone.in_channels for _, backbone in backbones_in(model)), 3)
    model.forward = partial(dense_part, model, model.forward)
    try:
        return count_flops(model, torch.zeros(1, channels, height, width, device="meta"))
    except ConfigError:
        raise
    except Exception as error:  # models of other packages raise anything
        raise ConfigError(
            f"{type(model).__name__} does not run on an image of {height} x {width} px alone "
            f"({type(error).__name__}: {error}); --arch and --window count a backbone alone"
        ) from error


def is_two_stage(model: nn.Module) -> bool:
    """Whether RoI heads look at what another head has found, as in Mask R-CNN."""
    return hasattr(model, "rpn_head") and hasattr(model, "roi_head")


def dense_part(model: Any, forward: Callable[[Tensor], object], image: Tensor) -> object:
    """Runs what a model does with every image, whatever is in it."""
    if is_two_stage(model):
        return model.rpn_head(model.extract_feat(image))
    if isinstance(model, SimMIM):  # a mask changes tokens and costs nothing
        return model.head(*model.backbone(image))
    return forward(image)


def print_costs(title: str, costs: Mapping[str, Cost]) -> None:
    """Prints a row for each part, and their sum."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE, show_footer=True)
    whole = Cost(*map(sum, zip(*costs.values(), strict=True)))
    table.add_column("part", "total")
    table.add_column("FLOPs", f"{whole.flops / 1e9:.2f} G", justify="right")
    table.add_column("share", justify="right")
    table.add_column("parameters", f"{whole.parameters / 1e6:.2f} M", justify="right")
    for part, cost in costs.items():
        share = f"{cost.flops / whole.flops:.1%}" if cost.flops else "-"
        table.add_row(part, f"{cost.flops / 1e9:.3f} G" if cost.flops else "-", share, f"{cost.parameters / 1e6:.2f} M")
    Console(markup=False, emoji=False, highlight=False).print(table)
