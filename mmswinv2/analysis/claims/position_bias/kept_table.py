"""V1's table at other windows without V1's resizing: every offset in tokens keeps the bias that it was trained with."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmengine.runner import save_checkpoint
from torch import Tensor

from ....checkpoint import read_checkpoint
from ....checkpoint.position_biases import TABLE
from ...study import Options, Trained, tested


def tested_with_kept_table(options: Options, window: tuple[int, int]) -> Callable[[Trained], dict[str, float]]:
    """Returns a measurement: the metrics of a test, for which the tables are made ready for its window.

    Args:
        options: Settings of the test.
        window: Its window (h, w) in tokens.
    """
    test = tested(options)

    def measure(trained: Trained) -> dict[str, float]:
        with TemporaryDirectory() as folder:
            kept = Path(folder) / "kept_table.pth"
            state = read_checkpoint(str(trained.checkpoint)).content["state_dict"]
            tables = {name: keep(table, window) for name, table in state.items() if name.endswith(TABLE)}
            save_checkpoint({"state_dict": {**state, **tables}, "meta": {}}, str(kept))
            return test(replace(trained, checkpoint=kept))

    return measure


def keep(table: Tensor, window: tuple[int, int]) -> Tensor:
    """Returns a table for another window. Offsets beyond the table have the bias of its edge.

    Args:
        table: (2h - 1, 2w - 1, heads).
        window: (h', w') in tokens.

    Returns:
        (2h' - 1, 2w' - 1, heads).
    """
    rows, columns = (
        torch.arange(1 - length, length).clamp(-(side // 2), side // 2) + side // 2
        for length, side in zip(window, table.shape, strict=False)
    )
    return table[rows][:, columns].contiguous()
