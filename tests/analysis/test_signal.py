"""The variance of the main branch, by hand and as seen in real backbones."""

import pytest
import torch
from mmdet.models import SwinTransformer

from mmswinv2 import SwinTransformerV2
from mmswinv2.analysis.signal import Moments, blocks_of, mean_gain, measure_signal
from mmswinv2.analysis.variants import SwinVariant, set_gains

ARCH = {"embed_dims": 16, "depths": (1, 2), "num_heads": (1, 2)}


def test_moments_by_hand() -> None:
    """1, 3 and -8 in two parts: mean -4/3, mean square 74/3, variance 74/3 - 16/9 = 206/9."""
    moments = Moments()
    moments.add(torch.tensor([[1.0, 3.0]]))
    moments.add(torch.tensor([[-8.0]]))
    assert moments.variance() == pytest.approx(206 / 9)
    assert moments.largest == 8


def test_a_small_variance_beside_a_large_mean_is_found() -> None:
    """In float32 the squares of 1000 and 1000.01 would leave nothing."""
    moments = Moments()
    values = torch.tensor([1000.0, 1000.01])
    moments.add(values)
    assert moments.variance() == pytest.approx(float(values.double().var(correction=0)), rel=1e-3)


def test_signal_of_swin_v2_is_what_its_blocks_give_out() -> None:
    """In evaluation a block is called for some windows at a time; in training for all at once."""
    backbone = SwinTransformerV2(ARCH, window_size=4, out_indices=(1,), drop_path_rate=0.0)
    for block in blocks_of(backbone):
        set_gains(block, 0.7)
    outputs: list[torch.Tensor] = []
    for block in blocks_of(backbone):
        block.register_forward_hook(lambda module, given, tokens: outputs.append(tokens.detach()))
    images = torch.randn(1, 3, 300, 260)
    backbone.train()(images)
    of_blocks = list(outputs)
    assert len(of_blocks) == 3
    signal = measure_signal(backbone, images)
    assert len(outputs) > 6
    assert signal.variance == pytest.approx([float(x.var(correction=0)) for x in of_blocks], rel=1e-4)
    assert signal.largest == pytest.approx([float(x.abs().max()) for x in of_blocks], rel=1e-4)


def test_a_new_v2_keeps_the_variance_and_gains_let_it_grow() -> None:
    """Each branch of a gain of 1 adds a mean square of 1."""
    backbone = SwinTransformerV2(ARCH, window_size=4, out_indices=(1,))
    images = torch.randn(2, 3, 64, 64)
    assert measure_signal(backbone, images).variance == pytest.approx([1, 1, 1], abs=0.02)
    for block in blocks_of(backbone):
        set_gains(block, 1.0)
    first, second, third = measure_signal(backbone, images).variance
    assert 2 < first < 4
    assert 2 < second < third


def test_swin_v1_of_mmdetection_and_its_variant_grow_alike() -> None:
    """Both begin as V1 does, from other random numbers."""
    torch.manual_seed(3)
    depths, heads = (2, 6), (2, 4)
    v1 = SwinTransformer(embed_dims=64, depths=depths, num_heads=heads, strides=(4, 2), window_size=8, out_indices=(1,))
    v1.init_weights()
    arch = {"embed_dims": 64, "depths": depths, "num_heads": heads}
    variant = SwinVariant("pre", "dot", arch=arch, window_size=8, out_indices=(1,), position_bias="table")
    images = torch.randn(2, 3, 128, 128)
    one, other = (measure_signal(backbone, images).variance for backbone in (v1, variant))
    assert one == pytest.approx(other, rel=0.25)
    assert one[-1] > one[2]


def test_mean_gain_by_hand() -> None:
    """Six norms, two of 16 channels and four of 32: one of 16 at -2, the others at 1."""
    backbone = SwinTransformerV2(ARCH, window_size=4, out_indices=(1,))
    for block in blocks_of(backbone):
        set_gains(block, 1.0)
    torch.nn.init.constant_(next(blocks_of(backbone)).norm1.weight, -2.0)
    assert mean_gain(backbone) == pytest.approx((16 * 2 + 16 + 4 * 32) / (2 * 16 + 4 * 32))
