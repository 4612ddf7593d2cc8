"""Each form is recognised and every one of its tensors finds its place; what parity cannot show, name by name."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import to_native
from mmswinv2.checkpoint.backbone import infer_arch
from mmswinv2.checkpoint.forms import fold_order
from mmswinv2.errors import CheckpointError

from .backbones import TINY, official_state, pretrained_backbone, random_backbone, square
from .states import STATES, feature_distillation_state

INNER_NORMS = ("norm0.", "norm1.", "norm2.")
WINDOWS = square(8, 8, 8, 4)


def released_tensors(model: SwinTransformerV2) -> dict[str, Tensor]:
    """The model's tensors that other forms have."""
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith((*INNER_NORMS, "pretrained_window_sizes"))
    }


def assert_same_weights(model: SwinTransformerV2, source: SwinTransformerV2) -> None:
    expected = released_tensors(source)
    assert len(expected) > 100
    for name, tensor in expected.items():
        assert torch.equal(model.state_dict()[name], tensor), name


@pytest.mark.parametrize("form", [form for form in STATES if form != "native"])
def test_a_form_is_recognised_and_no_tensor_of_it_left_over(form: str) -> None:
    weights = to_native(STATES[form](TINY, 8))
    assert weights.form == form
    expected = released_tensors(SwinTransformerV2(TINY))
    assert {name: tensor.shape for name, tensor in weights.state.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }


def test_this_project_s_form_keeps_every_tensor() -> None:
    state = random_backbone().state_dict()
    weights = to_native(state)
    assert weights.form == "native"
    assert weights.dropped == ()
    assert weights.state.keys() == state.keys()


def test_timm_before_0_9_has_the_official_places(tmp_path: Path) -> None:
    """Its patch mergings ended a stage, so the name of the library does not tell the places."""
    source = random_backbone(window_size=(8, 8, 8, 4))
    path = tmp_path / "swinv2_tiny_window8_128.pth"
    torch.save({"state_dict": official_state(source)}, path)
    assert_same_weights(pretrained_backbone(path, window_size=WINDOWS), source)


def simmim_state(source: SwinTransformerV2) -> dict[str, Tensor]:
    """An early official SimMIM release: the encoder, a decoder, and ``rpe_mlp`` for the bias network."""
    encoder = {
        f"encoder.{name.replace('cpb_mlp', 'rpe_mlp')}": tensor
        for name, tensor in official_state(source, WINDOWS).items()
    }
    decoder = {"decoder.0.weight": torch.randn(32 * 32 * 3, 128, 1, 1), "decoder.0.bias": torch.randn(32 * 32 * 3)}
    return {**encoder, "encoder.mask_token": torch.randn(1, 1, 16), **decoder}


def test_official_simmim(tmp_path: Path) -> None:
    source = random_backbone(window_size=WINDOWS)
    torch.save({"model": simmim_state(source), "epoch": 799}, tmp_path / "simmim.pth")
    model = pretrained_backbone(tmp_path / "simmim.pth", window_size=WINDOWS)
    assert_same_weights(model, source)
    assert torch.equal(model.pretrained_window_sizes, torch.tensor(WINDOWS))


@pytest.mark.parametrize("period", [None, 2], ids=["plain", "enorm"])
def test_feature_distillation(period: int | None, tmp_path: Path) -> None:
    """One bias network a stage does what a copy in every block does; ``enorm`` keeps its name."""
    arch = {**TINY, "extra_norm_period": period} if period else TINY
    windows, pretrained = square(14, 14, 14, 7), square(12, 12, 12, 6)
    source = random_backbone(arch, window_size=windows, pretrained_window_sizes=pretrained)
    for stage in source.layers:
        for block in stage.blocks[1:]:
            block.attn.cpb_mlp.load_state_dict(stage.blocks[0].attn.cpb_mlp.state_dict())
    state = {f"module.{name}": tensor for name, tensor in feature_distillation_state(source).items()}
    assert to_native(state).form == "feature-distillation"
    assert any("enorm" in name for name in state) == (period is not None)
    torch.save({"model": {"student": state}}, tmp_path / "fd.pth")
    model = pretrained_backbone(tmp_path / "fd.pth", arch, windows)
    assert_same_weights(model, source)
    assert torch.equal(model.pretrained_window_sizes, torch.tensor(pretrained))
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(model(image)[-1], source(image)[-1])


def test_fold_order() -> None:
    """Two channels, written out: unfold has the four neighbours of a channel together, along rows first."""
    names = ["a00", "a01", "a10", "a11", "b00", "b01", "b10", "b11"]
    order = fold_order(torch.arange(8).unsqueeze(0))[0]
    assert [names[column] for column in order] == ["a00", "b00", "a10", "b10", "a01", "b01", "a11", "b11"]


def with_second_names(state: dict[str, torch.Tensor], theirs: str, ours: str) -> dict[str, torch.Tensor]:
    """A state with some tensors under a second name as well."""
    return {**state, **{name.replace(theirs, ours): tensor for name, tensor in state.items() if theirs in name}}


@pytest.mark.parametrize(
    ("form", "second", "twice"),
    [
        ("official", (".cpb_mlp.0.bias", ".rpe_mlp.0.bias"), "cpb_mlp.0.bias"),
        ("feature-distillation", ("rel_pos_bias.rpe_mlp.0.bias", "blocks.0.attn.rpe_mlp.0.bias"), "cpb_mlp.0.bias"),
        ("hf", ("attention.self.query.weight", "attention.self.qkv.weight"), "qkv.weight"),
        ("torchvision", ("qkv.bias", "v_bias"), "v_bias"),
    ],
)
def test_a_tensor_under_two_names_is_refused(form: str, second: tuple[str, str], twice: str) -> None:
    """Which of both held would be the order in the file."""
    state = with_second_names(STATES[form](TINY, 4), *second)
    with pytest.raises(CheckpointError, match=rf"layers\.0\.blocks\.0\.attn\.{re.escape(twice)} is there twice"):
        to_native(state)


@pytest.mark.parametrize("form", STATES)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (0, 2**40), (3, 0), (1, 1, 1)], ids=str)
def test_mis_shaped_tensors_stay_to_be_reported(form: str, shape: tuple[int, ...]) -> None:
    """Whatever one of those is that are joined, split or reordered, the names of all come out."""
    whole = STATES[form](TINY, 4)
    expected = to_native(whole).state.keys()
    joined = [name for name in whole if re.search("qkv|query|key|value|reduction|rpe_mlp|cpb_mlp", name)]
    for name in joined[:8] + joined[-2:]:
        if whole[name].is_floating_point():
            found = to_native({**whole, name: torch.ones(()) if shape == () else torch.empty(shape)}).state.keys()
            assert len(found ^ expected) in (0, 2, 3, 4), name  # the mis-shaped, and parts that were not joined with it


def test_features_of_another_torchvision_model() -> None:
    """Attention where torchvision's SwinV2 has its patches."""
    with pytest.raises(CheckpointError):
        infer_arch(to_native({"features.0.0.attn.qkv.weight": torch.ones(3, 1)}).state)
