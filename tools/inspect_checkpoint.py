#!/usr/bin/env python
"""Tells what a checkpoint is, and prints the config that uses it.

python tools/inspect_checkpoint.py SRC [--prefix P] [--plot FILE.png]

SRC is a path, a URL or hf-hub:OWNER/NAME, of any form of SwinV2 that is published. The picture shows the position
bias that it has learned, at the window that it was trained with and at larger ones.
"""

import argparse
from inspect import signature
from pathlib import Path

from command_line import run
from summary import check_whole, model_settings, print_table

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import BackboneCheckpoint, CheckpointError, describe, open_checkpoint
from mmswinv2.checkpoint.architecture import describe_arch
from mmswinv2.checkpoint.bias_plot import plot_position_bias
from mmswinv2.checkpoint.window_evidence import Windows

DEFAULTS = {name: parameter.default for name, parameter in signature(SwinTransformerV2).parameters.items()}


def main() -> None:
    """Prints the table and the config; draws the picture."""
    args = parse_args()
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


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Tell what a checkpoint is.")
    parser.add_argument("source", metavar="SRC", help="path, URL or hf-hub:OWNER/NAME")
    parser.add_argument("--prefix", help="what precedes the backbone's names, in a file with several backbones")
    parser.add_argument("--plot", metavar="FILE.png", help="picture of the learned position bias")
    return parser.parse_args()


def check_picture(path: str) -> None:
    """Raises :class:`CheckpointError` if no picture can be written to ``path``."""
    picture = Path(path)
    if picture.suffix != ".png":
        raise CheckpointError(f"--plot {path}: the picture is a PNG, name it .png")
    if not picture.parent.is_dir():
        raise CheckpointError(f"--plot {path}: there is no folder {picture.parent}")


def backbone_config(checkpoint: BackboneCheckpoint, prefix: str | None) -> str:
    """The backbone of a config, ready to be copied, which loads the checkpoint at the window it was trained with."""
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
    """``window_size``; where nothing tells the windows, gaps that the user has to fill."""
    if checkpoint.windows is None:
        return {"window_size": "...", "pretrained_window_sizes": "..."}
    return {"window_size": repr(shortest(checkpoint.windows.trained or checkpoint.windows.pretrained))}


def shortest(windows: Windows) -> int | tuple:
    """The shortest way to write windows in a config, where exactly two integers mean (h, w)."""
    sides = tuple(h if h == w else (h, w) for h, w in windows)
    if len(set(windows)) == 1:
        return sides[0]
    return windows if len(windows) == 2 else sides


if __name__ == "__main__":
    run(main)
