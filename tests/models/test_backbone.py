"""The backbone as a whole: maps of every level for images of any size, and the images that it refuses."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmswinv2 import SwinTransformerV2

from .. import reference
from .small_backbone import SMALL, make


@settings(deadline=None, derandomize=True, max_examples=30)
@given(batch=st.integers(1, 2), height=st.integers(1, 90), width=st.integers(1, 90))
@torch.no_grad()
def test_any_size_gives_contiguous_maps_of_every_level(
    model: SwinTransformerV2, batch: int, height: int, width: int
) -> None:
    outputs = model(torch.randn(batch, 3, height, width))
    for stage, out in enumerate(outputs):
        stride = 4 * 2**stage
        assert out.shape == (batch, 16 * 2**stage, math.ceil(height / stride), math.ceil(width / stride))
        assert out.is_contiguous()
        assert out.isfinite().all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (37, 101), (64, 64)])
@pytest.mark.parametrize(
    "windows",
    [
        4,
        (3, 5),
        [(8, 8), (8, 8), (8, 4), (4, 8)],
        [2, 3, 4, 5],
        1,
    ],
)
@torch.no_grad()
def test_same_as_the_official_arithmetic_for_any_size_and_window(windows: int | list | tuple, size: tuple) -> None:
    """Non-square windows and windows per stage, against pad, roll and mask with padding masked as keys."""
    model = make(window_size=windows, pretrained_window_sizes=[(6, 7), (8, 8), (5, 5), (1, 4)]).eval()
    image = torch.randn(1, 3, *size)
    pretrained = [tuple(pair) for pair in model.pretrained_window_sizes.tolist()]
    expected = reference.network(model.state_dict(), image, model.window_sizes, pretrained)
    for actual, out in zip(model(image), expected, strict=True):
        torch.testing.assert_close(actual, out, atol=1e-4, rtol=0)


@pytest.mark.parametrize("out_indices", [(0,), (3,), (1, 2), (0, 3), (0, 1, 2, 3)])
@torch.no_grad()
def test_out_indices_choose_among_the_same_features(model: SwinTransformerV2, out_indices: tuple[int, ...]) -> None:
    chosen = SwinTransformerV2(arch=SMALL, window_size=4, out_indices=out_indices).eval()
    missing, unexpected = chosen.load_state_dict(model.state_dict(), strict=False)
    assert not missing
    assert {name.split(".")[0] for name in unexpected} == {f"norm{i}" for i in range(4) if i not in out_indices}
    image = torch.randn(1, 3, 45, 70)
    every = model(image)
    for index, out in zip(out_indices, chosen(image), strict=True):
        assert torch.equal(out, every[index])


@pytest.mark.parametrize("channels", [1, 3, 5])
@torch.no_grad()
def test_other_channels_and_patch_sizes_give_their_maps(channels: int) -> None:
    outputs = make(in_channels=channels, patch_size=2).eval()(torch.randn(1, channels, 33, 20))
    assert [tuple(out.shape[2:]) for out in outputs] == [(17, 10), (9, 5), (5, 3), (3, 2)]


@pytest.mark.parametrize("shape", [(1, 3, 0, 8), (1, 3, 8, 0), (0, 3, 8, 8), (1, 4, 8, 8), (3, 8, 8), (1, 3, 8)])
def test_wrong_input_is_named(model: SwinTransformerV2, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\) with B, H and W at least 1, got ") as error:
        model(torch.zeros(shape))
    assert str(tuple(shape)) in str(error.value)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("size", [(64, 64), (75, 50)])
def test_a_trace_computes_the_same(size: tuple[int, int]) -> None:
    """``torch.jit.trace`` gives sizes as tensors; the trace holds for images of the size that it was made with."""
    model = reference.randomize_(SwinTransformerV2(arch=SMALL, window_size=4)).eval()
    traced = torch.jit.trace(model, torch.randn(1, 3, *size), check_trace=False)
    image = torch.randn(2, 3, *size)[:1]
    # A trace records torch's own kernel; with gradients on, the model takes the one that computes logits anew.
    torch.testing.assert_close(traced(image), model(image), rtol=0, atol=2e-5)
