"""The picture of the position bias shows what the backbone computes, at its own window and at larger ones."""

import dataclasses
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mmswinv2 import SwinTransformerV2
from mmswinv2.analysis.bias_plot import plot_position_bias
from mmswinv2.checkpoint import BackboneCheckpoint, open_checkpoint
from mmswinv2.errors import CheckpointError

from ..checkpoint.backbones import random_backbone

WINDOWS = ((6, 4), (4, 4), (4, 4), (1, 1))
LARGER = (((6, 4), (9, 6), (12, 8)), ((4, 4), (6, 6), (8, 8)), ((4, 4), (6, 6), (8, 8)), ((1, 1), (2, 2), (2, 2)))


@pytest.fixture
def model() -> SwinTransformerV2:
    return random_backbone(window_size=8, pretrained_window_sizes=WINDOWS)


@pytest.fixture
def checkpoint(model: SwinTransformerV2, tmp_path: Path) -> BackboneCheckpoint:
    torch.save(model.state_dict(), tmp_path / "model.pth")
    return open_checkpoint(str(tmp_path / "model.pth"))


def panels(figure: Figure) -> list[list]:
    """The axes of every stage, without those of the colour bars: three maps and a profile."""
    axes = [one for one in figure.axes if one.get_title()]
    return [axes[start : start + 4] for start in range(0, len(axes), 4)]


def test_maps_hold_the_bias_of_every_pair_of_tokens(model: SwinTransformerV2, checkpoint: BackboneCheckpoint) -> None:
    """Mean over the heads of the first block, found at the offset of the pair, in a window of any size."""
    for stage, axes in enumerate(panels(plot_position_bias(checkpoint))):
        for window, one in zip(LARGER[stage], axes[:3], strict=True):
            attention = model.layers[stage].blocks[0].attn
            with torch.no_grad():
                bias = attention.cpb_mlp.bias_plain(window, model.pretrained_window_sizes[stage]).mean(0)  # (N, N)
            y, x = (torch.arange(window[0] * window[1]) // window[1], torch.arange(window[0] * window[1]) % window[1])
            drawn = np.asarray(one.images[0].get_array())
            assert drawn.shape == (2 * window[0] - 1, 2 * window[1] - 1)
            at_offset = drawn[y[:, None] - y + window[0] - 1, x[:, None] - x + window[1] - 1]
            np.testing.assert_allclose(at_offset, bias, atol=1e-5)
            assert np.ptp(drawn) > 0 or window == (1, 1)


def test_axes_are_in_tokens_and_frame_the_trained_range(checkpoint: BackboneCheckpoint) -> None:
    """The pixel of the offset (0, 0) lies at (0, 0); frame and band end where the pretrained window does."""
    for stage, (own, *larger, profile) in enumerate(panels(plot_position_bias(checkpoint))):
        h, w = WINDOWS[stage]
        assert own.images[0].get_extent() == [0.5 - w, w - 0.5, h - 0.5, 0.5 - h]
        assert not own.patches
        for one in larger:
            assert one.patches[0].get_bbox().extents.tolist() == [0.5 - w, 0.5 - h, w - 0.5, h - 0.5]
        assert profile.patches[0].get_x() == 1 - w
        assert profile.patches[0].get_width() == 2 * w - 2
        mean = profile.lines[-1]
        assert mean.get_xdata()[len(mean.get_xdata()) // 2] == 0
        middle = np.asarray(larger[-1].images[0].get_array())[LARGER[stage][-1][0] - 1]
        np.testing.assert_allclose(mean.get_ydata(), middle, atol=1e-5)


def test_one_scale_of_colours_a_stage(checkpoint: BackboneCheckpoint) -> None:
    """Otherwise equal biases would look different at different windows."""
    for own, middle, largest, _ in panels(plot_position_bias(checkpoint)):
        assert own.images[0].get_clim() == middle.images[0].get_clim() == largest.images[0].get_clim()


def test_writes_a_png(checkpoint: BackboneCheckpoint) -> None:
    file = BytesIO()
    plot_position_bias(checkpoint).savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")


def test_needs_the_pretrained_windows(checkpoint: BackboneCheckpoint) -> None:
    """A guessed unit would draw another bias."""
    with pytest.raises(CheckpointError, match=r"model\.pth: nothing tells the window"):
        plot_position_bias(dataclasses.replace(checkpoint, windows=None))
