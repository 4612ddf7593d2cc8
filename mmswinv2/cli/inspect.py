"""Tells what a checkpoint is, and prints the config that uses it.

SRC may be of any form of SwinV2 that is published. The picture shows the position bias that it has learned, at the
window that it was trained with and at larger ones.
"""

import argparse
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from ..analysis.bias_plot import plot_position_bias
from ..checkpoint import BackboneCheckpoint, Windows, describe, describe_arch, match_state, open_checkpoint
from ..checkpoint.position_biases import find_position_bias
from ..errors import CheckpointError
from ..models import SwinTransformerV2

DEFAULTS = {name: parameter.default for name, parameter in signature(SwinTransformerV2).parameters.items()}
SOURCE = "path, URL or hf-hub:OWNER/NAME"
PREFIX = "what precedes the backbone's names, in a file with several backbones"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("source", metavar="SRC", help=SOURCE)
    parser.add_argument("--prefix", help=PREFIX)
    parser.add_argument("--plot", metavar="FILE.png", help="picture of the learned position bias")


def run(args: argparse.Namespace) -> None:
    """Prints the table and the config; draws the picture."""
    if args.plot:
        check_picture(args.plot)
    checkpoint = open_checkpoint(args.source, args.prefix)
    weights = (tensor for tensor in checkpoint.weights.state.values() if tensor.is_floating_point())
    parameters = f"{sum(tensor.numel() for tensor in weights) / 1e6:.1f} million"
    print_table(checkpoint.source, {**describe(checkpoint), "parameters": parameters})
    check_whole(checkpoint)
    print(backbone_config(checkpoint, args.prefix))
    if checkpoint.windows is None:
        print("\nNothing tells the windows: fill the gaps, or give the file its release's name, which tells them")
    if args.plot:
        plot_position_bias(checkpoint).savefig(args.plot, dpi=100)
        print(f"\nPosition bias: {args.plot}")


def check_picture(path: str) -> None:
    """Raises :class:`CheckpointError` if no picture can be written to ``path``."""
    picture = Path(path)
    if picture.suffix != ".png":
        raise CheckpointError(f"--plot {path}: the picture is a PNG, name it .png")
    if not picture.parent.is_dir():
        raise CheckpointError(f"--plot {path}: there is no folder {picture.parent}")


def backbone_config(checkpoint: BackboneCheckpoint, prefix: str | None) -> str:
    """Returns a config of the backbone, ready to be copied. It loads the checkpoint at the window of its training."""
    init = {"type": "Pretrained", "checkpoint": checkpoint.source, **({"prefix": prefix} if prefix else {})}
    settings = {
        "type": repr("mmswinv2.SwinTransformerV2"),
        "arch": describe_arch(checkpoint.arch),
        **{name: repr(value) for name, value in model_settings(checkpoint).items() if value != DEFAULTS[name]},
        **window_settings(checkpoint),
        "init_cfg": f"dict({', '.join(f'{name}={value!r}' for name, value in init.items())})",
    }
    return "\n".join(["backbone=dict(", *(f"    {name}={value}," for name, value in settings.items()), ")"])


def window_settings(checkpoint: BackboneCheckpoint) -> dict[str, str]:
    """Returns ``window_size``, or gaps for the user to fill where nothing tells the windows."""
    if checkpoint.windows is None:
        return {"window_size": "...", "pretrained_window_sizes": "..."}
    return {"window_size": repr(shortest(checkpoint.windows.trained or checkpoint.windows.pretrained))}


def shortest(windows: Windows) -> int | tuple:
    """Returns the shortest way to write windows in a config, where exactly two integers mean (h, w)."""
    sides = tuple(h if h == w else (h, w) for h, w in windows)
    if len(set(windows)) == 1:
        return sides[0]
    return windows if len(windows) == 2 else sides


def check_whole(checkpoint: BackboneCheckpoint) -> None:
    """Compares a checkpoint with the backbone of its own size.

    Raises:
        CheckpointError: Names the tensors that are missing, mis-shaped or not finite.
    """
    try:
        with torch.device("meta"):  # names and shapes, without memory
            backbone = SwinTransformerV2(arch=checkpoint.arch._asdict(), **model_settings(checkpoint))
        match_state(checkpoint.weights.state, backbone.state_dict(), final_norm=checkpoint.weights.single_norm)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.source}: {error}") from error


def model_settings(checkpoint: BackboneCheckpoint) -> dict[str, Any]:
    """Returns the settings beside arch and windows: position bias, outputs and, with a patch embedding, the input."""
    settings: dict[str, Any] = {
        "out_indices": tuple(range(len(checkpoint.arch.depths))),
        "position_bias": find_position_bias(checkpoint.weights.state) or DEFAULTS["position_bias"],
    }
    patches = checkpoint.weights.state.get("patch_embed.proj.weight")
    if patches is not None and patches.dim() == 4:
        settings |= {"in_channels": patches.size(1), "patch_size": patches.size(2)}
    return settings


def print_table(title: str, rows: Mapping[str, str]) -> None:
    """Prints a table of names and values, as wide as the terminal."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE, show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    # a path may hold what rich takes for markup or an emoji
    Console(markup=False, emoji=False, highlight=False).print(table)
