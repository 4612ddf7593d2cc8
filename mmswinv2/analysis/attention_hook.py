"""What attention does while a model trains: how spread it is, how large its logits are, and what the norms let by."""

from collections import defaultdict
from functools import partial
from typing import Any, NamedTuple

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from ..layers import cell_bias
from ..models.backbone import SwinTransformerV2, backbones_in
from ..registry import HOOKS
from .signal import mean_gain
from .variants import Attention, Grid, logits_without_bias, windows


class Look(NamedTuple):
    """What a look at an attention saw.

    Attributes:
        entropy: Sum of the entropies of all rows of attention weights, in nats. A row spread evenly over N keys has
            log N.
        rows: How many rows: one for each query and head.
        largest_logit: The largest logit without the position bias.
    """

    entropy: float
    rows: int
    largest_logit: float


@torch.no_grad()
def look_at(attention: Attention, x: Tensor, grid: Grid, pretrained_window: Tensor) -> Look:
    """Computes the weights of an attention anew, and looks at them.

    Args:
        attention, x, grid, pretrained_window: An attention, and what it is given.
    """
    bias = attention.position_bias(grid.fitted_window, pretrained_window)
    entropy, rows, largest = 0.0, 0, -float("inf")
    for q, k, _, cell in windows(attention, x, grid):
        logits = logits_without_bias(attention, q, k)
        largest = max(largest, float(logits.max()))
        log_weights = (logits + cell_bias(bias, grid.fitted_window, cell)).log_softmax(-1)  # (n, heads, N, N)
        entropy -= float((log_weights.exp() * log_weights).sum())
        rows += log_weights[..., 0].numel()
    return Look(entropy, rows, largest)


@HOOKS.register_module()
class AttentionHook(Hook):
    """Logs the attention of the one backbone of a model, as it is in the forward pass of some iterations.

    The scalars are ``entropy_stage0``, ``entropy_stage1``, ...: the mean entropy of attention weights over blocks,
    heads and queries of a stage, in nats; ``largest_logit``: of all blocks, without the position bias; and ``gain``:
    the mean of the absolute gains of the blocks' norms, which tells how much of their branches post-norms let by.

    Args:
        interval: Iterations from one look to the next, those of the log.
    """

    def __init__(self, interval: int = 20) -> None:
        self.interval = interval

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Has each attention looked at before it runs."""
        self.looks: dict[int, list[Look]] = defaultdict(list)
        self.handles = []
        if self.every_n_train_iters(runner, self.interval):
            block: Any  # to mypy, members of a ModuleList are plain Modules
            for index, stage in enumerate(backbone_of(runner).layers):
                for block in stage.blocks:
                    self.handles.append(block.attn.register_forward_pre_hook(partial(self._look, index)))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Logs what was seen."""
        for handle in self.handles:
            handle.remove()
        if not self.looks:
            return
        scalars = {
            f"entropy_stage{stage}": sum(look.entropy for look in looks) / sum(look.rows for look in looks)
            for stage, looks in self.looks.items()
        }
        scalars["largest_logit"] = max(look.largest_logit for looks in self.looks.values() for look in looks)
        scalars["gain"] = mean_gain(backbone_of(runner))
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f"train/{name}", value)

    def _look(self, stage: int, attention: Attention, arguments: tuple[Any, ...]) -> None:
        x, grid, pretrained_window, *_ = arguments
        self.looks[stage].append(look_at(attention, x, grid, pretrained_window))


def backbone_of(runner: Runner) -> SwinTransformerV2:
    """Returns the one SwinV2 in the model of a runner."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    [(_, backbone)] = backbones_in(model)
    return backbone
