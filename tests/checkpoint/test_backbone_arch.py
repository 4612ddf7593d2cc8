"""The size of a model, read off its tensors."""

import re
from fnmatch import fnmatch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmswinv2 import SwinTransformerV2
from mmswinv2.arch import ARCHS, parse_arch
from mmswinv2.checkpoint.backbone import describe_arch, infer_arch
from mmswinv2.errors import CheckpointError

from .backbones import TINY


def state_of(arch: str | dict) -> dict[str, torch.Tensor]:
    """Tensors without memory, so that giant fits too."""
    stages = len(parse_arch(arch).depths)
    with torch.device("meta"):
        return SwinTransformerV2(arch, out_indices=tuple(range(stages))).state_dict()


@pytest.mark.parametrize("name", ARCHS)
def test_a_named_arch_is_inferred(name: str) -> None:
    """Heads of huge and giant, and their extra norms, included."""
    arch = infer_arch(state_of(name))
    assert arch == ARCHS[name]
    assert describe_arch(arch) == repr(name)


@settings(deadline=None, max_examples=15)
@given(
    depths=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    heads=st.sampled_from([1, 2, 4]),
    period=st.integers(1, 3),
)
def test_any_arch_is_inferred(depths: list[int], heads: int, period: int) -> None:
    arch = {"embed_dims": 8, "depths": depths, "num_heads": [heads] * len(depths)}
    if period <= max(depths):  # else no block has an extra norm
        arch["extra_norm_period"] = period
    assert infer_arch(state_of(arch)) == parse_arch(arch)


def test_what_most_blocks_say_holds() -> None:
    """One tensor mis-shaped or missing must not make an error speak of another arch."""
    state = state_of({**TINY, "depths": (3, 2, 2, 2)})
    state["layers.0.blocks.0.norm1.weight"] = torch.empty(17)
    del state["layers.3.blocks.0.attn.logit_scale"]
    assert infer_arch(state) == parse_arch({**TINY, "depths": (3, 2, 2, 2)})


@pytest.mark.parametrize("tensor", ["layers.0.blocks.*.norm1.weight", "layers.2.blocks.*.attn.logit_scale"])
def test_a_size_that_nothing_tells(tensor: str) -> None:
    state = {name: value for name, value in state_of(TINY).items() if not fnmatch(name, tensor)}
    with pytest.raises(CheckpointError, match=f"no size can be read off it, for want of {re.escape(tensor)}"):
        infer_arch(state)


def test_a_missing_stage_is_named() -> None:
    state = {name: tensor for name, tensor in state_of(TINY).items() if not name.startswith("layers.1.")}
    with pytest.raises(CheckpointError, match=r"for want of layers\.1\.blocks\.\*\.attn\.logit_scale"):
        infer_arch(state)


def test_describe_a_custom_arch() -> None:
    """As it would be written in a config."""
    arch = parse_arch({**TINY, "extra_norm_period": 2})
    described = describe_arch(arch)
    assert described == "dict(embed_dims=16, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8], extra_norm_period=2)"
    assert parse_arch(eval(described)) == arch
    assert "extra_norm_period" not in describe_arch(parse_arch(TINY))


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("layers.0.blocks.900.norm1.weight", torch.ones(16)),
        ("layers.0.blocks.0.norm1.weight", torch.ones(2**17)),
    ],
)
def test_a_size_that_no_model_has(name: str, tensor: torch.Tensor) -> None:
    """Blocks without tensors, or channels beyond all models: what builds a model of it would take hours or memory."""
    state = state_of({**TINY, "depths": (1, 1, 1, 1)})
    with pytest.raises(CheckpointError, match="no model has the size that its tensors tell: dict"):
        infer_arch({**state, name: tensor})


def test_stages_that_no_model_has() -> None:
    """Each would double the channels."""
    names = ("norm1.weight", "attn.logit_scale")
    state = {f"layers.{stage}.blocks.0.{name}": torch.ones(8) for stage in range(40) for name in names}
    with pytest.raises(CheckpointError, match="no model has the size that its tensors tell"):
        infer_arch(state)


@pytest.mark.parametrize("number", ["99999999999999", "1000", "00", "\N{ARABIC-INDIC DIGIT THREE}"], ids=ascii)
def test_a_number_that_no_stage_or_block_has_is_part_of_an_unknown_name(number: str) -> None:
    """Nothing counts up to it."""
    state, arch = state_of(TINY), parse_arch(TINY)
    for name in (f"layers.{number}.blocks.0.norm1.weight", f"layers.0.blocks.{number}.norm1.weight"):
        assert infer_arch({**state, name: torch.ones(16)}) == arch
