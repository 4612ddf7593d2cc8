"""Tests of a model whose position bias is changed after its training, to tell what the model owes to it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmengine.runner import save_checkpoint
from torch import Tensor

from ..checkpoint import read_checkpoint
from ..checkpoint.forms import StateDict
from ..checkpoint.position_biases import TABLE
from ..layers.compared_biases import POSITION_BIASES
from .study import Options, Trained, tested

# The tensors whose zeros give every offset the same bias, which the softmax does not see: the table, and the network's
# last layer, which has no bias of its own.
LAST = (TABLE, *(f".{POSITION_BIASES[kind]}.2.weight" for kind in ("log_cpb", "linear_cpb")))


def tested_with(
    change: Callable[[StateDict], StateDict], options: Options = ()
) -> Callable[[Trained], dict[str, float]]:
    """Returns a measurement: the metrics of a test with some of the trained tensors changed.

    Args:
        change: Returns the changed ones, by their names in the model.
        options: Settings of the test.
    """
    test = tested(options)

    def measure(trained: Trained) -> dict[str, float]:
        with TemporaryDirectory() as folder:
            changed = Path(folder) / "changed.pth"
            state = read_checkpoint(str(trained.checkpoint)).content["state_dict"]
            save_checkpoint({"state_dict": {**state, **change(state)}, "meta": {}}, str(changed))
            return test(replace(trained, checkpoint=changed))

    return measure


def without_bias(state: StateDict) -> StateDict:
    """Returns the zeros with which no offset is preferred to another."""
    return {name: torch.zeros_like(tensor) for name, tensor in state.items() if name.endswith(LAST)}


def kept_tables(window: tuple[int, int]) -> Callable[[StateDict], StateDict]:
    """Returns a change: V1's tables for another window without V1's resizing.

    Args:
        window: (h, w) in tokens.
    """
    return lambda state: {name: keep(tensor, window) for name, tensor in state.items() if name.endswith(TABLE)}


def keep(table: Tensor, window: tuple[int, int]) -> Tensor:
    """Returns a table for another window. Every offset in tokens keeps its bias; those beyond have that of the edge.

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
