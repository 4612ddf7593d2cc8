"""A new backbone has the parameters of the official release: their names, their number and their initial values."""

import pytest
import timm
import torch
from torch import nn

from mmswinv2 import SwinTransformerV2
from mmswinv2.arch import ARCHS
from mmswinv2.layers import DropPath

from .small_backbone import SMALL


def official_names(depths: tuple[int, ...], extra_norms: set[tuple[int, int]]) -> set[str]:
    """Names of the official release for the backbone, with ``norm0`` to ``norm3`` for its one ``norm``."""

    def layer(name: str) -> list[str]:
        return [f"{name}.weight", f"{name}.bias"]

    names = [*layer("patch_embed.proj"), *layer("patch_embed.norm"), "pretrained_window_sizes"]
    for stage, depth in enumerate(depths):
        for index in range(depth):
            block = f"layers.{stage}.blocks.{index}"
            names += [f"{block}.attn.{name}" for name in ("q_bias", "v_bias", "logit_scale", "qkv.weight")]
            names += [*layer(f"{block}.attn.cpb_mlp.0"), f"{block}.attn.cpb_mlp.2.weight", *layer(f"{block}.attn.proj")]
            names += [*layer(f"{block}.norm1"), *layer(f"{block}.norm2")]
            names += [*layer(f"{block}.mlp.fc1"), *layer(f"{block}.mlp.fc2")]
            if (stage, index) in extra_norms:
                names += layer(f"{block}.enorm")
        if stage < len(depths) - 1:
            names += [f"layers.{stage}.downsample.reduction.weight", *layer(f"layers.{stage}.downsample.norm")]
        names += layer(f"norm{stage}")
    return set(names)


@pytest.mark.parametrize("arch", ["tiny", "small", "base", "large", "huge", "giant"])
def test_names_are_the_official_ones(arch: str) -> None:
    """Huge and giant end every 6th block of a stage with an extra norm, counted within the stage."""
    expected_norms = {
        "huge": {(2, 5), (2, 11), (2, 17)},
        "giant": {(2, index) for index in (5, 11, 17, 23, 29, 35, 41)},
    }
    with torch.device("meta"):
        model = SwinTransformerV2(arch)
    assert set(model.state_dict()) == official_names(ARCHS[arch].depths, expected_norms.get(arch, set()))


@pytest.mark.parametrize(
    ("arch", "millions", "rounded"),
    [
        ("tiny", 27.6, 1),
        ("small", 49.0, 1),
        ("base", 86.9, 1),
        ("large", 195.2, 1),
        ("huge", 655, 0),
        ("giant", 3.0e3, -2),
    ],
)
def test_sizes_are_the_published_ones(arch: str, millions: float, rounded: int) -> None:
    """Parameters without a classifier; on the meta device, where 3 billion cost nothing."""
    with torch.device("meta"):
        model = SwinTransformerV2(arch)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, rounded) == millions


@pytest.mark.parametrize(("arch", "peer"), [("tiny", "swinv2_tiny_window8_256"), ("base", "swinv2_base_window8_256")])
def test_as_many_parameters_as_timm(arch: str, peer: str) -> None:
    """To the last one; we alone have norms for the first three levels."""
    with torch.device("meta"):
        model = SwinTransformerV2(arch, out_indices=(3,))
        other = timm.create_model(peer, num_classes=0)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in other.parameters())


def test_initial_values_are_the_official_ones() -> None:
    """Linear layers from N(0, 0.02) without bias; zero post-norms; so every new block is the identity."""
    model = SwinTransformerV2({**SMALL, "extra_norm_period": None})
    for name, parameter in model.named_parameters():
        if (
            ".norm1." in name
            or ".norm2." in name
            or name.endswith((".q_bias", ".v_bias", "fc1.bias", "attn.proj.bias"))
        ):
            assert not parameter.any(), name
    weights = torch.cat([module.weight.flatten() for module in model.modules() if isinstance(module, nn.Linear)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert weights.mean().abs() < 1e-3
    x = torch.randn(63, 16)
    assert torch.equal(model.layers[0](x, 1, (9, 7), model.pretrained_window_sizes[0]), x)


def test_stochastic_depth_rises_linearly_over_all_blocks() -> None:
    model = SwinTransformerV2(SMALL, drop_path_rate=0.7)
    rates = [module.drop_rate for module in model.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
