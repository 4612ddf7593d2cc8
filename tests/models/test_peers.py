"""Same output as the official arithmetic, written out in tests/reference.py, and as timm's and torchvision's models."""

from functools import partial

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2
from torchvision.models.swin_transformer import SwinTransformer as TorchvisionSwin

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


def normalized(model: nn.Module, stage: int, x: Tensor) -> Tensor:
    """Raw features (B, H, W, C) of a stage as our model returns them; only we have a norm for each level."""
    return getattr(model, f"norm{stage}")(x).permute(0, 3, 1, 2)


def timm_name(name: str) -> str:
    """Name of our parameter in timm's model, whose stages begin with the merging that ends ours."""
    if name.startswith("norm3."):
        return name.replace("norm3.", "norm.")
    if ".downsample." in name:
        _, stage, rest = name.split(".", 2)
        return f"layers.{int(stage) + 1}.{rest}"
    return name


@pytest.mark.parametrize(
    ("arch", "side", "window", "pretrained"),
    [
        pytest.param(T, 256, 8, None, id="T-w8"),
        pytest.param(T, 256, 16, None, id="T-w16"),
        pytest.param(S, 192, 12, None, id="S-w12"),
        pytest.param(SHORT_B, 256, 16, TRAINED_AT_192, id="B-w12to16"),
        pytest.param(T, 384, 24, TRAINED_AT_192, id="T-w12to24"),
    ],
)
@torch.no_grad()
def test_same_as_timm(arch: dict, side: int, window: int, pretrained: tuple | None) -> None:
    model, image = build(arch, side, window, pretrained)
    peer = timm.models.swin_transformer_v2.SwinTransformerV2(
        img_size=side,
        num_classes=0,
        embed_dim=arch["embed_dims"],
        depths=arch["depths"],
        num_heads=arch["num_heads"],
        window_size=window,
        pretrained_window_sizes=pretrained or (0, 0, 0, 0),
    ).eval()
    state = {
        timm_name(name): tensor
        for name, tensor in model.state_dict().items()
        if name != "pretrained_window_sizes" and not name.startswith(("norm0.", "norm1.", "norm2."))
    }
    peer.load_state_dict(state)  # strict: the names are timm's, no more and no less
    features = peer.forward_intermediates(image, intermediates_only=True)  # of the stages, without norms
    assert_same(model(image), [normalized(model, stage, x.permute(0, 2, 3, 1)) for stage, x in enumerate(features)])


def load_into_torchvision(model: nn.Module, peer: nn.Module) -> None:
    """Copies all weights; torchvision's ``features`` are the patches, then stages and mergings in turn."""
    groups = {"patch_embed.proj.": "features.0.0.", "patch_embed.norm.": "features.0.2.", "norm3.": "norm."}
    for stage in range(4):
        groups[f"layers.{stage}.blocks."] = f"features.{2 * stage + 1}."
        groups[f"layers.{stage}.downsample."] = f"features.{2 * stage + 2}."
    state = {}
    for name, tensor in model.state_dict().items():
        for ours, theirs in groups.items():
            if name.startswith(ours):
                new_name = name.replace(ours, theirs).replace(".mlp.fc1.", ".mlp.0.").replace(".mlp.fc2.", ".mlp.3.")
                state[new_name] = tensor
    for name in [name for name in state if name.endswith("q_bias")]:
        q_bias, v_bias = state.pop(name), state.pop(name.replace("q_bias", "v_bias"))
        state[name.replace("q_bias", "qkv.bias")] = torch.cat([q_bias, torch.zeros_like(q_bias), v_bias])
    missing, unexpected = peer.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith(("relative_coords_table", "relative_position_index")) for name in missing), missing


@torch.no_grad()
def test_same_as_torchvision() -> None:
    arch = {"embed_dims": 32, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8)}
    model, _ = build(arch, 256, 8, None)
    image = torch.randn(2, 3, 256, 512)
    peer = TorchvisionSwin(
        [4, 4],
        arch["embed_dims"],
        list(arch["depths"]),
        list(arch["num_heads"]),
        [8, 8],
        stochastic_depth_prob=0.0,
        num_classes=1,
        norm_layer=partial(nn.LayerNorm, eps=1e-5),
        block=SwinTransformerBlockV2,
        downsample_layer=PatchMergingV2,
    ).eval()
    peer.head = nn.Identity()
    load_into_torchvision(model, peer)
    features, x = [], image
    for index, module in enumerate(peer.features):
        x = module(x)
        if index % 2:  # a stage
            features.append(normalized(model, index // 2, x))
    assert_same(model(image), features)
