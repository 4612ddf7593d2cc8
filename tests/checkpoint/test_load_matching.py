"""Not one wrong tensor goes unnoticed: no share of the matched ones could tell."""

import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import match_state, to_native
from mmswinv2.checkpoint.forms import PRETRAINED_WINDOWS
from mmswinv2.checkpoint.load import OUTPUT_NORM, Match
from mmswinv2.errors import CheckpointError

from .backbones import TINY, official_state, random_backbone
from .states import STATES, range_of_stages

SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "one more row": lambda tensor: torch.cat([tensor, tensor[:1]]),
    "one less column": lambda tensor: tensor[..., :-1],
    "another dimension": lambda tensor: tensor.unsqueeze(0),
    "flat": lambda tensor: tensor.flatten()[:-1],
}


@st.composite
def archs(draw: st.DrawFn) -> dict:
    depths = draw(st.lists(st.integers(1, 2), min_size=2, max_size=4).filter(lambda depths: sum(depths) < 6))
    return {"embed_dims": 8, "depths": depths, "num_heads": [1, 2, 4, 8][: len(depths)]}


def model_state(arch: dict) -> dict[str, Tensor]:
    return SwinTransformerV2(arch, out_indices=range_of_stages(arch)).state_dict()


def match(state: dict[str, Tensor], model: dict[str, Tensor]) -> Match:
    weights = to_native(state)
    return match_state(weights.state, model, final_norm=weights.single_norm)


def assert_caught(state: dict[str, Tensor], model: dict[str, Tensor], tensors: set[str]) -> None:
    """Refused with a word of one of ``tensors``, where the size is read off it for that of its whole stage."""
    with pytest.raises(CheckpointError) as caught:
        match(state, model)
    stages = {re.sub(r"blocks\.\d+", "blocks.*", tensor) for tensor in tensors}
    assert any(tensor in str(caught.value) for tensor in tensors | stages), (tensors, str(caught.value))


@pytest.mark.parametrize("form", STATES)
@settings(deadline=None, max_examples=2)
@given(
    arch=archs(),
    window=st.sampled_from([2, 4, 8]),
    prefix=st.sampled_from(["", "backbone.", "module.", "model.student."]),
    reshape=st.sampled_from(sorted(SHAPES)),
    value=st.sampled_from([torch.nan, torch.inf, -torch.inf]),
)
def test_one_wrong_tensor(form: str, arch: dict, window: int, prefix: str, reshape: str, value: float) -> None:
    """Every single one, dropped, renamed, mis-shaped or with one value that is not finite.

    Output norms excepted, of forms that may have norms of any levels.
    """
    model = model_state(arch)
    state = {f"{prefix}{name}": tensor for name, tensor in STATES[form](arch, window).items()}
    whole = to_native(state)
    match_state(whole.state, model)
    tried = 0
    for name, tensor in state.items():
        others = {other: value for other, value in state.items() if other != name}
        tensors = whole.state.keys() - to_native(others).state.keys()  # ours that come from it
        optional = {tensor for tensor in tensors if OUTPUT_NORM.fullmatch(tensor) and not whole.single_norm}
        if not tensors or tensors == optional or PRETRAINED_WINDOWS in tensors:
            continue  # a buffer, or a tensor that may be missing
        tried += 1
        assert_caught(others, model, tensors)
        assert_caught({**others, f"{name}x": tensor}, model, tensors)
        assert_caught({**others, name: SHAPES[reshape](tensor)}, model, tensors)
        broken = tensor.clone()
        broken.view(-1)[-1] = value
        assert_caught({**others, name: broken}, model, tensors)
    assert tried > 12 * sum(arch["depths"])


def test_every_fault_is_named_at_once() -> None:
    state = random_backbone().state_dict()
    del state["layers.0.blocks.0.attn.q_bias"]
    state["layers.3.blocks.1.mlp.fc1.bias"] = torch.zeros(3)
    state["patch_embed.norm.bias"][0] = torch.nan
    with pytest.raises(CheckpointError) as caught:
        match(state, model_state(TINY))
    for line in (
        "not in the checkpoint (1): layers.0.blocks.0.attn.q_bias",
        "of another shape (1): layers.3.blocks.1.mlp.fc1.bias (3,) for (512,)",
        "with values that are not finite (1): patch_embed.norm.bias",
    ):
        assert f"\n  {line}\n" in str(caught.value)


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"embed_dims": 24}, "embed_dims=24, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8]"),
        ({"depths": [2, 2, 4, 2]}, "embed_dims=16, depths=[2, 2, 4, 2], num_heads=[1, 2, 4, 8]"),
        ({"depths": [2, 1, 2, 2]}, "embed_dims=16, depths=[2, 1, 2, 2], num_heads=[1, 2, 4, 8]"),
        ({"num_heads": [2, 4, 8, 16]}, "embed_dims=16, depths=[2, 2, 2, 2], num_heads=[2, 4, 8, 16]"),
        ({"depths": [2, 2, 2], "num_heads": [1, 2, 4]}, "embed_dims=16, depths=[2, 2, 2], num_heads=[1, 2, 4]"),
        ({"extra_norm_period": 2}, "num_heads=[1, 2, 4, 8], extra_norm_period=2"),
    ],
    ids=str,
)
def test_another_arch_is_refused_with_the_one_to_set(theirs: dict, said: str) -> None:
    arch = {**TINY, **theirs}
    ours = r"the config builds arch=dict\(embed_dims=16, depths=\[2, 2, 2, 2\], num_heads=\[1, 2, 4, 8\]\)"
    with pytest.raises(CheckpointError, match=rf"{ours}, the checkpoint needs arch=dict\(.*{re.escape(said)}\)$"):
        match(model_state(arch), model_state(TINY))


def test_another_named_arch_is_refused_with_its_name() -> None:
    with torch.device("meta"):
        tiny, small = (SwinTransformerV2(arch).state_dict() for arch in ("tiny", "small"))
    tiny = {name: torch.zeros(1).expand(tensor.shape) for name, tensor in tiny.items()}  # takes no memory
    with pytest.raises(CheckpointError, match=r"the config builds arch='small', the checkpoint needs arch='tiny'$"):
        match(tiny, small)


def test_other_channels_and_patches_are_refused_with_the_keys_to_set() -> None:
    state = SwinTransformerV2(TINY, in_channels=4, patch_size=2).state_dict()
    with pytest.raises(CheckpointError, match=r"weight is \(channels, in_channels, patch_size, patch_size\)"):
        match(state, model_state(TINY))


def test_output_norms_may_be_missing_or_unused() -> None:
    """A release has the last alone, and a model may return other levels than the one that a file is of."""
    official = match(official_state(random_backbone()), model_state(TINY))
    assert official.expected_missing == tuple(f"norm{i}.{part}" for i in range(3) for part in ("bias", "weight"))
    last = SwinTransformerV2(TINY, out_indices=(3,)).state_dict()
    unused = match(model_state(TINY), last)
    assert unused.unused == official.expected_missing
    assert unused.state.keys() == last.keys() - {"pretrained_window_sizes"}


def test_allow_partial_forgives_a_missing_tensor_alone() -> None:
    model, name = model_state(TINY), "layers.2.blocks.1.attn.v_bias"
    partial = {other: tensor for other, tensor in model.items() if other != name}
    assert match_state(partial, model, allow_partial=True).missing == (name,)
    for wrong in (torch.zeros(3), torch.full_like(model[name], torch.nan)):
        with pytest.raises(CheckpointError, match=re.escape(name)):
            match_state({**model, name: wrong}, model, allow_partial=True)
    with pytest.raises(CheckpointError, match=rf"not in the model \(1\): {re.escape(name)}x"):
        match_state({**partial, f"{name}x": model[name]}, model, allow_partial=True)


def test_another_type_is_a_fault() -> None:
    """A copy would cut numbers to integers, or lose half of a complex one; another precision may be."""
    name = "layers.2.blocks.1.attn.v_bias"
    for dtype in (torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn):
        state = model_state(TINY)
        with pytest.raises(CheckpointError, match=rf"of another type \(1\): {re.escape(name)} \({dtype}\)"):
            match_state({**state, name: state[name].to(dtype)}, state)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert name in match_state({**state, name: state[name].to(dtype)}, state).state


def test_values_of_a_mis_shaped_tensor_are_not_looked_at() -> None:
    """There may be more of them than memory."""
    state = model_state(TINY)
    huge = torch.zeros(1).expand(2**45)
    with pytest.raises(CheckpointError, match=rf"of another shape \(1\): norm3\.bias \({2**45},\) for \(128,\)"):
        match_state({**state, "norm3.bias": huge}, state)


def test_faults_are_listed_where_no_size_can_be_read_off_either() -> None:
    state = model_state(TINY)
    with pytest.raises(CheckpointError) as caught:
        match_state({"norm3.bias": state["norm3.bias"]}, state)
    assert "not in the checkpoint" in str(caught.value)
    assert "no size can be read off it" in str(caught.value)
