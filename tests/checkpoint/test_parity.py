"""Other libraries' files, loaded as a config would load them, compute what those libraries compute.

Every tensor is random: the zeros that models begin with would hide an error. The windows come from the file, as its
library writes it: from the release's name, from config.json, or from the tables in it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mmswinv2 import SwinTransformerV2
from mmswinv2.arch import ARCHS
from mmswinv2.checkpoint.forms import MMPretrain

from .. import reference
from . import mmpretrain_swin, peers
from .backbones import TINY, official_state, pretrained_backbone, random_backbone, square

T = ARCHS["tiny"]._asdict()
SHORT_B = {**ARCHS["base"]._asdict(), "depths": (2, 2, 2, 2)}  # for time; widths and heads are real
TRAINED_AT_192 = (12, 12, 12, 6)


class Release(NamedTuple):
    """A window that SwinV2 was released with.

    Attributes:
        name: Its part of the release's name.
        side: Side of the image in pixels.
        windows: Of each stage.
        pretrained: Where the position bias was trained with others.
    """

    name: str
    side: int
    windows: tuple[int, ...]
    pretrained: tuple[int, ...] | None = None


RELEASES = [
    Release("window8_256", 256, (8, 8, 8, 8)),
    Release("window16_256", 256, (16, 16, 16, 8)),
    Release("window12_192", 192, TRAINED_AT_192),
    Release("window12to16_192to256", 256, (16, 16, 16, 8), TRAINED_AT_192),
    Release("window12to24_192to384", 384, (24, 24, 24, 12), TRAINED_AT_192),
]
every_release = pytest.mark.parametrize("release", RELEASES, ids=[release.name for release in RELEASES])
every_arch = pytest.mark.parametrize(
    ("size", "arch"), [("tiny", T), pytest.param("base", SHORT_B, marks=pytest.mark.full)], ids=["T", "B"]
)


def assert_same_features(model: SwinTransformerV2, image: Tensor, expected: peers.Features) -> None:
    """``expected`` are a peer's features; only this project has norms before the last, so its own are applied."""
    stages, final = expected
    normalised = [getattr(model, f"norm{i}")(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for i, x in enumerate(stages)]
    for stage, (ours, theirs) in enumerate(zip(model(image), [*normalised[:-1], final], strict=True)):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0, msg=lambda text, s=stage: f"stage {s}: {text}")


def assert_windows(model: SwinTransformerV2, release: Release) -> None:
    assert tuple(map(tuple, model.pretrained_window_sizes.tolist())) == square(*(release.pretrained or release.windows))


@every_arch
@every_release
@torch.no_grad()
def test_timm(release: Release, size: str, arch: dict, tmp_path: Path) -> None:
    """A file of timm's own model of that name, in either format."""
    name = f"swinv2_base_{release.name}"  # timm knows every window in this size; another one is set
    peer = peers.timm_release(name, arch)
    if size == "tiny":
        file = tmp_path / f"swinv2_{size}_{release.name}.ms_in1k.safetensors"
        save_file(peer.state_dict(), file)
    else:
        file = tmp_path / f"swinv2_{size}_{release.name}.ms_in22k_ft_in1k.pth"
        torch.save({"epoch": 3, "arch": name, "state_dict": peer.state_dict()}, file)
    model = pretrained_backbone(file, arch, release.windows)
    assert_windows(model, release)
    image = torch.randn(1, 3, release.side, release.side)
    assert_same_features(model, image, peers.timm_features(peer, image))


@every_arch
@every_release
@torch.no_grad()
def test_transformers(release: Release, size: str, arch: dict, tmp_path: Path) -> None:
    """``save_pretrained`` of a Swinv2Model, whose config.json tells the windows."""
    peer = peers.hf_model(peers.hf_config(arch, release.side, release.windows[0], release.pretrained))
    peer.save_pretrained(tmp_path)
    model = pretrained_backbone(tmp_path / "model.safetensors", arch, release.windows)
    assert_windows(model, release)
    image = torch.randn(1, 3, release.side, release.side)
    assert_same_features(model, image, peers.hf_features(peer, image))


@torch.no_grad()
def test_transformers_backbone(tmp_path: Path) -> None:
    """A Swinv2Backbone has no norm after the last stage, so the model's own stays as it began."""
    arch = {**TINY, "depths": (1, 2, 2, 1)}
    peer = peers.hf_backbone(peers.hf_config(arch, 128, 8))
    peer.save_pretrained(tmp_path)
    model = pretrained_backbone(tmp_path / "model.safetensors", arch, (8, 8, 8, 4))
    image = torch.randn(1, 3, 128, 128)
    stages = list(peer(image).feature_maps)
    assert_same_features(model, image, (stages, model.norm3(stages[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)))


@torch.no_grad()
def test_torchvision(tmp_path: Path) -> None:
    """At sides where torchvision pads nothing; it has no release with another window."""
    peer = peers.torchvision_model(T, 8)
    torch.save(peer.state_dict(), tmp_path / "swin_v2_t.pth")
    model = pretrained_backbone(tmp_path / "swin_v2_t.pth", T, 8)
    assert_windows(model, RELEASES[0])
    image = torch.randn(2, 3, 256, 512)
    assert_same_features(model, image, peers.torchvision_features(peer, image))


def assert_mmpretrain_parity(arch: dict, file: Path) -> None:
    """Against its arithmetic written out in mmpretrain_swin.py, from a classifier's file."""
    windows = square(8, 8, 8, 4)
    state = mmpretrain_swin.random_state(arch, windows)
    head = {"head.fc.weight": torch.randn(5, 128), "head.fc.bias": torch.randn(5)}
    torch.save({"state_dict": {**{f"backbone.{name}": tensor for name, tensor in state.items()}, **head}}, file)
    model = pretrained_backbone(file, arch, windows)
    image = torch.randn(1, 3, 128, 128)
    *stages, final = mmpretrain_swin.network(state, image, windows)
    assert_same_features(model, image, ([*stages, final], final))


@pytest.mark.parametrize("arch", [TINY, {**TINY, "extra_norm_period": 2}], ids=["plain", "extra norms"])
@torch.no_grad()
def test_mmpretrain(arch: dict, tmp_path: Path) -> None:
    """Its merging sees the neighbours in another order, and its extra norm bears another name."""
    assert_mmpretrain_parity(arch, tmp_path / "epoch_300.pth")


@pytest.mark.parametrize("mistake", ["not reordered", "norm reordered as well"])
@torch.no_grad()
def test_mmpretrain_mistakes_are_seen(mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parity above does not hold with what other converters do to a merging."""
    join = MMPretrain.join
    wrong = {
        "not reordered": lambda form, state: state,
        "norm reordered as well": lambda form, state: reorder_norms(join(form, state)),
    }
    monkeypatch.setattr(MMPretrain, "join", wrong[mistake])
    with pytest.raises(AssertionError, match="stage 1"):
        assert_mmpretrain_parity(TINY, tmp_path / "epoch_300.pth")


def reorder_norms(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What V1's converters do, whose norm precedes the reduction."""
    return {
        name: tensor.unflatten(0, (-1, 4)).T[[0, 2, 1, 3]].flatten() if ".downsample.norm." in name else tensor
        for name, tensor in state.items()
    }


@torch.no_grad()
def logits(model: SwinTransformerV2, image: Tensor, head: nn.Linear) -> Tensor:
    """A classifier of the backbone: the mean over the last map, and the peer's head."""
    return head(model(image)[-1].mean((2, 3)))


def save_timm(peer: nn.Module, folder: Path) -> Path:
    timm.models.save_for_hf(peer, folder, safe_serialization=True)
    return folder / "model.safetensors"


def save_transformers(peer: nn.Module, folder: Path) -> Path:
    peer.save_pretrained(folder)
    return folder / "model.safetensors"


def save_torchvision(peer: nn.Module, folder: Path) -> Path:
    torch.save(peer.state_dict(), folder / "swin_v2_t.pth")
    return folder / "swin_v2_t.pth"


@pytest.mark.parametrize(
    ("build", "save", "head"),
    [
        pytest.param(
            lambda: peers.timm_release("swinv2_tiny_window8_256", T), save_timm, lambda peer: peer.head.fc, id="timm"
        ),
        pytest.param(
            lambda: peers.hf_classifier(peers.hf_config(T, 256, 8)),
            save_transformers,
            lambda peer: peer.classifier,
            id="transformers",
        ),
        pytest.param(lambda: peers.torchvision_model(T, 8), save_torchvision, lambda peer: peer.head, id="torchvision"),
    ],
)
@torch.no_grad()
def test_logits(build: Callable, save: Callable, head: Callable, tmp_path: Path) -> None:
    """A classifier's file, saved by its library as for the Hub: the backbone in it, pooled, under the same head."""
    peer = build()
    model = pretrained_backbone(save(peer, tmp_path), T, 8)
    assert_windows(model, RELEASES[0])
    image = torch.randn(1, 3, 256, 256)
    out = peer(image)
    torch.testing.assert_close(logits(model, image, head(peer)), getattr(out, "logits", out), atol=1e-4, rtol=0)


@torch.no_grad()
def test_official(tmp_path: Path) -> None:
    """A classification release, against the official arithmetic; its tables tell both windows."""
    windows, pretrained = square(8, 8, 8, 4), square(6, 6, 6, 3)
    source = random_backbone(window_size=windows, pretrained_window_sizes=pretrained)
    head = {"head.weight": torch.randn(5, 128), "head.bias": torch.randn(5)}
    torch.save({"model": {**official_state(source, windows), **head}}, tmp_path / "anything.pth")
    model = pretrained_backbone(tmp_path / "anything.pth", window_size=windows)
    reference.randomize_(model.norm0)  # which a release does not have
    image = torch.randn(1, 3, 128, 128)
    expected = reference.network(model.state_dict(), image, windows, pretrained)
    for ours, theirs in zip(model(image), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    torch.testing.assert_close(model(image)[-1], source(image)[-1], atol=0, rtol=0)
