"""An output depends on what its windows have seen of its own image, and on nothing else.

Nothing leaks from beyond a window, from other images of the batch, or from images that came before.
"""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmswinv2 import SwinTransformerV2
from mmswinv2.layers import LogCPB

from .. import reference
from .small_backbone import SMALL, make


@pytest.mark.parametrize(("size", "pixel"), [((150, 131), (70, 3)), ((97, 203), (96, 202)), ((133, 133), (0, 64))])
@torch.no_grad()
def test_a_pixel_reaches_no_output_outside_its_windows(size: tuple[int, int], pixel: tuple[int, int]) -> None:
    """The reach follows from the window grid alone; outputs outside it are bit for bit the same."""
    model = make(window_size=[2, (3, 2), 2, 2]).eval()
    image = torch.randn(1, 3, *size)
    perturbed = image.clone()
    perturbed[..., pixel[0], pixel[1]] += 1.0

    touched = torch.zeros(1, math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    touched[0, pixel[0] // 4, pixel[1] // 4] = 1
    untouched = 0
    for stage, (before, after) in enumerate(zip(model(image), model(perturbed), strict=True)):
        touched = spread(touched, model.window_sizes[stage])
        changed = (before != after).any(1)
        assert not (changed & ~touched.bool()).any(), f"stage {stage}: a change outside the reach"
        assert changed.any()
        untouched += (~touched.bool()).sum()
        touched = F.max_pool2d(touched, 2, ceil_mode=True)
    assert untouched > 500  # so that there was something to protect


def spread(touched: Tensor, window: tuple[int, int]) -> Tensor:
    """What a plain and a shifted block make of the tokens (1, H, W) that a change has touched."""
    for shift in ((0, 0), (window[0] // 2, window[1] // 2)):
        rows, columns = map(reference.grid_runs, touched.shape[1:], window, shift)
        cells = rows[:, None] * 1000 + columns[None, :]  # a number for each window
        touched = torch.isin(cells, cells[touched[0] > 0])[None].float()
    return touched


@torch.no_grad()
def test_an_image_is_the_same_alone_and_in_a_batch(model: SwinTransformerV2) -> None:
    images = torch.randn(3, 3, 50, 77)
    for index in range(3):
        for alone, batched in zip(model(images[index : index + 1]), model(images), strict=True):
            torch.testing.assert_close(alone[0], batched[index], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_small_image_before_changes_nothing_for_a_large_one(mode: Callable) -> None:
    """Maps smaller than the window shrink it for themselves only: no state, no cache remains."""
    model = make(window_size=8).eval()
    small, large = torch.randn(1, 3, 13, 9), torch.randn(1, 3, 90, 101)
    with mode():
        alone = copy.deepcopy(model)(large)
        model(small)
        after = model(large)
    for x, y in zip(after, alone, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_position_bias_is_computed_once_for_many_images(monkeypatch: pytest.MonkeyPatch, mode: Callable) -> None:
    """One evaluation of each block's meta network, for images of whatever size above the window."""
    model, evaluations = make().eval(), []
    evaluate = LogCPB.evaluate
    monkeypatch.setattr(LogCPB, "evaluate", lambda *args: evaluations.append(None) or evaluate(*args))
    with mode():
        for size in ((140, 150), (129, 200), (140, 150)):
            model(torch.randn(1, 3, *size))
    assert len(evaluations) == sum(SMALL["depths"])
