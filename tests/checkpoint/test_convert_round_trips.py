"""What is written in another form comes back bit by bit, with its windows, and is what that library reads."""

from pathlib import Path

import pytest
import torch
from timm.models.swin_transformer_v2 import checkpoint_filter_fn
from torch import Tensor, nn

from mmswinv2.checkpoint import TARGETS, BackboneCheckpoint, convert, open_checkpoint, save_converted

from . import mmpretrain_swin, peers
from .backbones import TINY, official_state, random_backbone, square
from .states import SIDE, STATES, feature_distillation_state, map_windows

TRAINED, PRETRAINED = square(16, 16, 16, 8), square(12, 12, 12, 6)
INNER_NORMS = {f"norm{level}.{part}" for level in range(3) for part in ("weight", "bias")}
FILES = [(form, suffix) for form in TARGETS for suffix in (".pth", ".safetensors") if (form, suffix) != ("hf", ".pth")]


def rewritten(checkpoint: BackboneCheckpoint, form: str, path: Path) -> BackboneCheckpoint:
    save_converted(convert(checkpoint, form), str(path))
    return open_checkpoint(str(path))


def saved(state: dict[str, Tensor], path: Path) -> BackboneCheckpoint:
    torch.save({"model": state}, path)
    return open_checkpoint(str(path))


def assert_equal(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name


@pytest.mark.parametrize(("form", "suffix"), FILES)
def test_there_and_back(form: str, suffix: str, tmp_path: Path) -> None:
    """All that the form can hold: one norm of the four. What it cannot is listed."""
    source = saved(random_backbone(pretrained_window_sizes=PRETRAINED).state_dict(), tmp_path / "native.pth")
    back = rewritten(source, form, tmp_path / f"converted{suffix}")
    assert back.weights.form == form
    assert (back.arch, back.windows.pretrained) == (source.arch, PRETRAINED)
    left_out = set() if form == "native" else {*INNER_NORMS, "pretrained_window_sizes"}
    assert_equal(back.weights.state, {k: v for k, v in source.weights.state.items() if k not in left_out})
    assert set(convert(source, form).left_out) == left_out - {"pretrained_window_sizes"}


@pytest.mark.parametrize(("form", "suffix"), FILES)
def test_both_windows_are_kept(form: str, suffix: str, tmp_path: Path) -> None:
    """The official form has tables for them, the others say them beside the tensors."""
    model = random_backbone(window_size=TRAINED, pretrained_window_sizes=PRETRAINED)
    source = saved(official_state(model, TRAINED), tmp_path / "official.pth")
    assert (source.windows.pretrained, source.windows.trained) == (PRETRAINED, TRAINED)
    back = rewritten(source, form, tmp_path / f"converted{suffix}")
    assert (back.windows.pretrained, back.windows.trained) == (PRETRAINED, TRAINED)


@pytest.mark.parametrize("form", STATES)
def test_every_form_through_all_targets(form: str, tmp_path: Path) -> None:
    """One after the other, as safetensors, which refuses tensors that share memory."""
    path = tmp_path / f"swinv2_tiny_window8_{SIDE}.pth"
    first = saved(STATES[form](TINY, 8), path)
    windows = first.windows.pretrained
    checkpoint = first
    for target in ("native", "timm", "official", "hf", "native"):
        checkpoint = rewritten(checkpoint, target, tmp_path / f"{target}.safetensors")
    left_out = {*INNER_NORMS, "pretrained_window_sizes"}
    assert_equal(
        {name: tensor for name, tensor in checkpoint.weights.state.items() if name not in left_out},
        {name: tensor for name, tensor in first.weights.state.items() if name not in left_out},
    )
    assert checkpoint.windows.pretrained == windows


@pytest.mark.parametrize("form", ["timm", "hf", "official"])
@torch.no_grad()
def test_the_library_computes_the_same_from_the_converted_tensors(form: str, tmp_path: Path) -> None:
    """They load strictly into the real model. timm reads the official form as it reads the releases."""
    model = random_backbone(window_size=map_windows(TINY, 8))
    image = torch.randn(1, 3, SIDE, SIDE)
    state = convert(saved(model.state_dict(), tmp_path / "native.pth"), form).state
    if form == "hf":
        peer: nn.Module = peers.hf_model(peers.hf_config(TINY, SIDE, 8))
        features = peers.hf_features
    else:
        peer = peers.timm_small(TINY, SIDE, 8)
        peer.reset_classifier(0)
        features = peers.timm_features
    peer.load_state_dict(checkpoint_filter_fn({"model": state}, peer) if form == "official" else state)
    _, final = features(peer, image)
    torch.testing.assert_close(model(image)[-1], final, atol=1e-4, rtol=0)


def test_official_keeps_extra_norms(tmp_path: Path) -> None:
    """Under Feature-Distillation's names, which are this project's."""
    arch = {**TINY, "extra_norm_period": 2}
    source = saved(feature_distillation_state(random_backbone(arch)), tmp_path / "fd.pth")
    back = rewritten(source, "official", tmp_path / "converted.pth")
    assert back.arch.extra_norm_period == 2
    assert_equal(back.weights.state, source.weights.state)


def test_extra_norms_of_mmpretrain_become_official(tmp_path: Path) -> None:
    arch = {**TINY, "extra_norm_period": 2}
    state = mmpretrain_swin.random_state(arch, square(8, 8, 8, 4))
    converted = convert(saved(state, tmp_path / "mmpretrain.pth"), "official").state
    assert torch.equal(converted["layers.0.blocks.1.enorm.weight"], state["stages.0.blocks.1.norm3.weight"])
