"""Entropies and logits of attention are what they are by hand, and those of the forward pass that trains."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from mmswinv2.analysis.attention_hook import AttentionHook, look_at
from mmswinv2.analysis.variants import DotProductAttention, logits_without_bias, windows
from mmswinv2.layers import WindowAttention, WindowGrid, cell_bias

from ..reference import randomize_
from ..support import ROOT

WINDOW = torch.tensor((4, 4))
GRID = WindowGrid(2, (7, 5), (4, 4), (2, 2))  # cells of several shapes
DIMS, HEADS = 8, 2


def attentions() -> list[WindowAttention | DotProductAttention]:
    return [WindowAttention(DIMS, HEADS, (4, 4)), DotProductAttention(WindowAttention(DIMS, HEADS, (4, 4)))]


each_attention = pytest.mark.parametrize("index", [0, 1], ids=["cosine", "dot product"])


@each_attention
def test_without_logits_a_row_is_spread_over_its_window(index: int) -> None:
    """Entropy log N of N keys, here in cells of 1 to 16 tokens."""
    attention = attentions()[index]
    for parameter in attention.parameters():
        torch.nn.init.zeros_(parameter)
    look = look_at(attention, torch.randn(70, DIMS), GRID, WINDOW)
    rows = [(number * h * w * HEADS, h * w) for number, (h, w) in GRID.cells]
    assert look.rows == sum(count for count, _ in rows) == 70 * HEADS
    assert look.entropy == pytest.approx(sum(count * math.log(keys) for count, keys in rows), rel=1e-5)
    assert look.largest_logit == 0


def test_entropy_and_logit_by_hand() -> None:
    """Two tokens, one head of one channel, q = k = x: logits (4, 2; 2, 1) of x = (2, 1), and no position bias."""
    attention = DotProductAttention(WindowAttention(1, 1, (1, 2)))
    for name, parameter in attention.named_parameters():
        torch.nn.init.constant_(parameter, 1.0 if name == "qkv.weight" else 0.0)
    look = look_at(attention, torch.tensor([[2.0], [1.0]]), WindowGrid(1, (1, 2), (1, 2), (0, 0)), torch.tensor((1, 2)))
    shares = [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-1))]  # of the first key
    expected = -sum(p * math.log(p) + (1 - p) * math.log(1 - p) for p in shares)
    assert look.entropy == pytest.approx(expected, rel=1e-5)
    assert look.largest_logit == pytest.approx(4)


@each_attention
def test_the_weights_that_are_looked_at_are_those_of_the_attention(index: int) -> None:
    """With them, values and projection give what the attention gives, by its fused kernel in the case of cosines."""
    attention = randomize_(attentions()[index])
    x = torch.randn(70, DIMS)
    bias = attention.position_bias(GRID.fitted_window, WINDOW)
    parts = []
    for q, k, v, cell in windows(attention, x, GRID):
        weights = (logits_without_bias(attention, q, k) + cell_bias(bias, GRID.fitted_window, cell)).softmax(-1)
        parts.append((weights @ v).transpose(1, 2).reshape(-1, DIMS))
    torch.testing.assert_close(attention.proj(torch.cat(parts)), attention(x, GRID, WINDOW), rtol=1e-4, atol=1e-4)


@pytest.fixture
def config() -> Config:
    """Two iterations of two images, with a look at the second."""
    cfg = Config.fromfile(ROOT / "configs/analysis/norm-and-attention_flowers.py")
    cfg.train_dataloader.batch_size = 2
    cfg.train_dataloader.dataset.data_root = str(ROOT / "demo/flowers")
    cfg.model.backbone.arch.depths = (2, 1, 2)
    cfg.train_cfg.max_iters = 2
    cfg.custom_hooks[0].interval = 2
    return cfg


class Recorder(AttentionHook):
    """Keeps what attentions are given and when."""

    def __init__(self, interval: int) -> None:
        super().__init__(interval)
        self.given: list[tuple[int, int, Tensor]] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        super().before_train_iter(runner, batch_idx, data_batch)
        self.iteration = runner.iter

    def _look(self, stage: int, attention: Any, arguments: tuple[Any, ...]) -> None:
        super()._look(stage, attention, arguments)
        self.given.append((self.iteration, stage, arguments[0]))


def test_a_run_is_looked_at_every_so_many_iterations(config: Config, tmp_path: Path) -> None:
    """Every block once, in the forward pass that trains. Afterwards no hook is left on the attentions."""
    config.work_dir = str(tmp_path)
    config.custom_hooks = []
    runner = Runner.from_cfg(config)
    hook = Recorder(interval=2)
    runner.register_hook(hook)
    runner.train()
    assert [(iteration, stage) for iteration, stage, _ in hook.given] == [(1, 0), (1, 0), (1, 1), (1, 2), (1, 2)]
    assert all(x.requires_grad for _, _, x in hook.given)
    seen = {name.removeprefix("train/"): buffer.current() for name, buffer in runner.message_hub.log_scalars.items()}
    assert 0 < seen["entropy_stage2"] < math.log(16)  # windows of 16 tokens
    assert 0 < seen["entropy_stage0"] < math.log(64)
    assert 0 < seen["gain"] < 0.1
    looks = [one for looks in hook.looks.values() for one in looks]
    assert seen["largest_logit"] == max(look.largest_logit for look in looks)
    assert seen["entropy_stage1"] == hook.looks[1][0].entropy / hook.looks[1][0].rows
    for stage in runner.model.backbone.layers:
        assert not any(block.attn._forward_pre_hooks for block in stage.blocks)
