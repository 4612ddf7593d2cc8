"""Same output as the official arithmetic, written out in tests/reference.py.

Parity with the models of other libraries is in tests/checkpoint/test_parity.py, through their files.
"""

import pytest
import torch
from torch import Tensor, nn

from mmswinv2 import SwinTransformerV2
from mmswinv2.arch import ARCHS

from .. import reference

TRAINED_AT_192 = (12, 12, 12, 6)
T, S, B = (dict(ARCHS[name]._asdict()) for name in ("tiny", "small", "base"))
SHORT_B = {**B, "depths": (2, 2, 2, 2)}  # for time; widths and heads are real


def build(arch: dict, side: int, window: int, pretrained: tuple[int, ...] | None) -> tuple[nn.Module, Tensor]:
    """A model with the windows that the official one has at ``side`` pixels, and an image."""
    windows = reference.official_windows(side, window)
    model = SwinTransformerV2(arch, window_size=windows, pretrained_window_sizes=pretrained).eval()
    return reference.randomize_(model), torch.randn(1, 3, side, side)


def assert_same(actual: list[Tensor], expected: list[Tensor]) -> None:
    assert len(actual) == len(expected) == 4
    for stage, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0, msg=lambda text, s=stage: f"stage {s}: {text}")


def test_official_windows_shrink_to_the_map() -> None:
    assert reference.official_windows(256, 16) == [16, 16, 16, 8]
    assert reference.official_windows(192, 12) == [12, 12, 12, 6]


@pytest.mark.parametrize(
    ("arch", "side", "window", "pretrained"),
    [
        pytest.param(T, 256, 8, None, id="T-w8"),
        pytest.param(T, 256, 16, None, id="T-w16"),
        pytest.param(T, 192, 12, None, id="T-w12"),
        pytest.param(T, 256, 16, TRAINED_AT_192, id="T-w12to16"),
        pytest.param(S, 256, 16, None, id="S-w16"),
        pytest.param(B, 256, 8, None, id="B-w8"),
        pytest.param(SHORT_B, 384, 24, TRAINED_AT_192, id="B-w12to24"),
    ],
)
@torch.no_grad()
def test_same_as_the_official_arithmetic(arch: dict, side: int, window: int, pretrained: tuple | None) -> None:
    model, image = build(arch, side, window, pretrained)
    pairs = [(w, w) for w in reference.official_windows(side, window)]
    trained = pairs if pretrained is None else [(w, w) for w in pretrained]
    assert_same(model(image), reference.network(model.state_dict(), image, pairs, trained))
