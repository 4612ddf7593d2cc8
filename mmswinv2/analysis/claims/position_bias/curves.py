"""The position bias itself, beyond the window that it was trained with."""

import torch

from ....checkpoint import open_checkpoint
from ....checkpoint.position_biases import find_position_bias
from ....layers.compared_biases import POSITION_BIASES, make_position_bias, resize_table
from ...study import Trained

FARTHEST = 24  # tokens, 3 times the window of the trainings


@torch.no_grad()
def curves(trained: Trained) -> list[list[float]]:
    """Returns the bias of each stage's first block over dx at dy = 0, from 0 to 3 times the window, mean over heads.

    A constant that is added to all biases of a head changes nothing, so each head's is taken less its bias at dx = 0.
    """
    assert trained.checkpoint is not None
    checkpoint = open_checkpoint(str(trained.checkpoint))
    state = checkpoint.weights.state
    kind = find_position_bias(state)
    assert kind is not None
    pretrained = state["pretrained_window_sizes"]
    lines = []
    for stage, heads in enumerate(checkpoint.arch.num_heads):
        stem = f"layers.{stage}.blocks.0.attn.{POSITION_BIASES[kind]}."
        own = {name.removeprefix(stem): tensor for name, tensor in state.items() if name.startswith(stem)}
        bias = make_position_bias(kind, heads, (FARTHEST, FARTHEST))
        if kind == "table":
            own["table"] = resize_table(own["table"], bias.state_dict()["table"].shape)
        bias.load_state_dict(own)
        table = bias.offset_table((FARTHEST, FARTHEST), pretrained[stage])  # (2w-1, 2w-1, heads)
        line = table[FARTHEST - 1, FARTHEST - 1 :]  # (w, heads)
        lines.append((line - line[:1]).mean(dim=1).tolist())
    return lines
