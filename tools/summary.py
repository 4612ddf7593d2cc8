"""What the checkpoint tools share: whether a checkpoint holds a whole backbone, and the table of what it is."""

from collections.abc import Mapping
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import BackboneCheckpoint, CheckpointError, match_state


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
    """What the backbone's config must say beside arch and windows; its input as far as the patch embedding tells it."""
    settings = {"out_indices": tuple(range(len(checkpoint.arch.depths)))}
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
