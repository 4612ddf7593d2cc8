"""A stage: in evaluation its blocks work on a few windows at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmswinv2.layers import GridPart, SwinV2Stage, WindowGrid
from mmswinv2.layers import stage as stage_module

from .. import reference

PRETRAINED = torch.tensor([8, 8])


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    window=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    batch=st.integers(1, 3),
    part=st.integers(1, 300),
)
def test_evaluation_by_parts_computes_what_the_whole_does(
    size: tuple[int, int], window: tuple[int, int], batch: int, part: int
) -> None:
    """Parts of any size, from a single window to all; with gradients a stage takes all windows at once."""
    stage = reference.randomize_(SwinV2Stage(16, 3, 2, window, [0.0, 0.1, 0.2], extra_norm_period=2)).eval()
    x = torch.randn(batch * size[0] * size[1], 16)
    whole = stage(x, batch, size, PRETRAINED)
    assert whole.requires_grad
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(stage_module, "PART", part)
        by_parts = stage(x, batch, size, PRETRAINED)
    torch.testing.assert_close(by_parts, whole.detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("training", "number"), [(False, 4), (True, 1)])
@torch.no_grad()
def test_only_evaluation_works_by_parts(training: bool, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training drops, it drops for whole images, also where no gradient is asked for."""
    monkeypatch.setattr(stage_module, "PART", 64)
    stage, grids = SwinV2Stage(16, 1, 2, (4, 4), [0.0]).train(training), []
    stage.blocks[0].register_forward_pre_hook(lambda block, arguments: grids.append(type(arguments[1])))
    stage(torch.randn(256, 16), 1, (16, 16), PRETRAINED)
    assert grids == [WindowGrid if training else GridPart] * number


@torch.no_grad()
def test_a_stage_leaves_its_input_alone() -> None:
    """In evaluation blocks write into memory of their own: what a caller handed in, and may use again, stays."""
    stage = reference.randomize_(SwinV2Stage(16, 2, 2, (8, 8), [0.0, 0.0])).eval()
    x = torch.randn(16, 16)
    given_x = x.clone()
    stage(x, 1, (4, 4), PRETRAINED)  # one window: no block changes the order
    assert torch.equal(x, given_x)


@torch.no_grad()
def test_a_block_that_trains_in_a_stage_that_does_not_takes_all_windows() -> None:
    """It drops paths for whole images."""
    stage = SwinV2Stage(16, 1, 2, (4, 4), [0.5]).eval()
    stage.blocks[0].train()
    assert stage(torch.randn(512, 16), 2, (16, 16), PRETRAINED).shape == (512, 16)
