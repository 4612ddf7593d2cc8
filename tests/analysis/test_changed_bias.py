"""A position bias that is changed after the training: what is kept, and what is set to zero."""

from pathlib import Path

import pytest
import torch
from mmengine.runner import save_checkpoint

from mmswinv2 import SwinTransformerV2
from mmswinv2.analysis import changed_bias
from mmswinv2.analysis.changed_bias import keep, without_bias
from mmswinv2.analysis.study import Options, Trained
from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.layers import POSITION_BIASES

from .. import reference


@pytest.mark.parametrize("window", [(3, 5), (8, 8), (8, 16), (16, 8), (24, 24)])
def test_a_kept_table_has_the_same_bias_at_every_offset_and_that_of_its_edge_beyond(window: tuple[int, int]) -> None:
    table = torch.randn(15, 15, 2)
    kept = keep(table, window)
    h, w = window
    assert kept.shape == (2 * h - 1, 2 * w - 1, 2)
    for dy in range(1 - h, h):
        for dx in range(1 - w, w):
            nearest = table[max(-7, min(7, dy)) + 7, max(-7, min(7, dx)) + 7]
            assert torch.equal(kept[dy + h - 1, dx + w - 1], nearest)


@pytest.mark.parametrize("position_bias", POSITION_BIASES)
def test_without_its_bias_a_model_prefers_no_offset(position_bias: str) -> None:
    """In no block. The tensors that are set to zero are found by their names."""
    arch = {"embed_dims": 16, "depths": (2, 2), "num_heads": (1, 2)}
    settings = {"arch": arch, "position_bias": position_bias, "out_indices": (1,)}
    model = reference.randomize_(SwinTransformerV2(window_size=4, **settings))
    attentions = [block.attn for layer in model.layers for block in layer.blocks]
    sizes = [torch.full((2,), 4)] * len(attentions)

    @torch.no_grad()
    def spreads() -> list[float]:
        tables = (at.position_bias.offset_table((4, 4), size) for at, size in zip(attentions, sizes, strict=True))
        return [float((table - table[:1, :1]).abs().max()) for table in tables]

    assert min(spreads()) > 0.01
    state = {f"backbone.{name}": tensor for name, tensor in model.state_dict().items()}
    zeros = without_bias(state)
    model.load_state_dict({name.removeprefix("backbone."): tensor for name, tensor in {**state, **zeros}.items()})
    assert max(spreads()) == 0


def test_a_test_gets_the_weights_with_some_of_them_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is not changed stays, and the training's own file too."""
    seen = []

    def tested(options: Options) -> object:
        return lambda trained: seen.append((options, read_checkpoint(str(trained.checkpoint)).content["state_dict"]))

    monkeypatch.setattr(changed_bias, "tested", tested)
    table, other = "backbone.layers.0.blocks.0.attn.relative_position_bias.table", "backbone.layers.0.norm.weight"
    state = {table: torch.ones(3, 3, 2), other: torch.ones(4)}
    file = tmp_path / "iter_1.pth"
    save_checkpoint({"state_dict": state, "meta": {}}, str(file))
    options = (("model.backbone.window_size", 4),)
    changed_bias.tested_with(without_bias, options)(Trained(Path(), (), tmp_path, file))
    [(given, changed)] = seen
    assert given == options
    assert changed[table].eq(0).all() and changed[other].eq(1).all()
    assert read_checkpoint(str(file)).content["state_dict"][table].eq(1).all()
