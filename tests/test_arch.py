"""Named and custom sizes: what is accepted, and that a wrong one is refused with a word that helps."""

from collections.abc import Callable

import pytest
import torch
from mmdet.registry import MODELS

from mmswinv2 import SwinTransformerV2
from mmswinv2.arch import ARCHS, Arch, parse_arch
from mmswinv2.errors import ConfigError

SMALL = dict(embed_dims=8, depths=[1, 2], num_heads=[1, 2])

# The paper's section "Model configurations": channels of the first stage and blocks of each; heads have 32 channels.
PAPER = {
    "tiny": (96, (2, 2, 6, 2)),
    "small": (96, (2, 2, 18, 2)),
    "base": (128, (2, 2, 18, 2)),
    "large": (192, (2, 2, 18, 2)),
    "huge": (352, (2, 2, 18, 2)),
    "giant": (512, (2, 2, 42, 4)),
}


def test_named_archs_are_the_papers() -> None:
    assert {name: (arch.embed_dims, arch.depths) for name, arch in ARCHS.items()} == PAPER
    for arch in ARCHS.values():
        assert [dims // heads for dims, heads in zip(arch.stage_dims, arch.num_heads, strict=True)] == [32] * 4
    assert [name for name, arch in ARCHS.items() if arch.extra_norm_period] == ["huge", "giant"]


@pytest.mark.parametrize("name", ARCHS)
def test_a_name_gives_the_arch(name: str) -> None:
    assert parse_arch(name) is ARCHS[name]


@pytest.mark.parametrize("build", [dict, MODELS.build], ids=["dict", "registry"])
def test_a_custom_arch_gives_its_model(build: Callable) -> None:
    """Lists as a config has them; the registry passes a ConfigDict on."""
    if build is dict:
        assert parse_arch(dict(SMALL)) == Arch(8, (1, 2), (1, 2), None)
    model_cfg = dict(type="mmswinv2.SwinTransformerV2", arch=dict(SMALL, extra_norm_period=2), out_indices=(0, 1))
    model = MODELS.build(model_cfg)
    assert model.arch == Arch(8, (1, 2), (1, 2), 2)
    assert [name for name, _ in model.named_modules() if name.endswith("enorm")] == ["layers.1.blocks.1.enorm"]
    assert [tuple(y.shape) for y in model(torch.rand(1, 3, 16, 24))] == [(1, 8, 4, 6), (1, 16, 2, 3)]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("tinny", "tiny"),
        ("Base", "base"),
        ("lage", "large"),
        ("t", "tiny"),
        ("L", "large"),
        ("gigant", "giant"),
        ("swinv2_tiny", "tiny"),
    ],
)
def test_unknown_name_suggests_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"unknown arch '{name}'.*tiny, small, base.*did you mean '{nearest}'"):
        SwinTransformerV2(arch=name)


def test_a_name_like_no_other_gets_the_list_alone() -> None:
    with pytest.raises(ValueError, match=r"choose one of tiny, small, base, large, huge, giant or pass a dict$"):
        SwinTransformerV2(arch="resnet50")


@pytest.mark.parametrize("arch", [None, 96, True, ["tiny"], 1.5])
def test_what_is_neither_name_nor_dict_is_refused(arch: object) -> None:
    with pytest.raises(TypeError, match=r"arch must be one of tiny, .* or a dict, got"):
        SwinTransformerV2(arch=arch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(embed_dims=0), r"arch\['embed_dims'\] must be a positive integer, got 0"),
        (dict(embed_dims=-8), r"arch\['embed_dims'\] must be a positive integer, got -8"),
        (dict(embed_dims=8.0), r"arch\['embed_dims'\] must be a positive integer, got 8.0"),
        (dict(embed_dims=True), r"arch\['embed_dims'\] must be a positive integer, got True"),
        (dict(embed_dims=[8, 16]), r"arch\['embed_dims'\] must be a positive integer, got \[8, 16\]"),
        (dict(depths=[]), r"arch\['depths'\] must be a list of positive integers, one per stage, got \[\]"),
        (dict(depths=2), r"arch\['depths'\] must be a list"),
        (dict(depths="12"), r"arch\['depths'\] must be a list"),
        (dict(depths=[1, 0]), r"arch\['depths'\] must be a list of positive"),
        (dict(depths=[1, 2.0]), r"arch\['depths'\] must be a list of positive"),
        (dict(depths=[1, True]), r"arch\['depths'\] must be a list of positive"),
        (dict(num_heads=[-1, 2]), r"arch\['num_heads'\] must be a list of positive"),
        (dict(num_heads=None), r"arch\['num_heads'\] must be a list of positive"),
        (dict(num_heads=[1]), r"depths \(1, 2\) and num_heads \(1,\) must have one entry per stage"),
        (dict(num_heads=[1, 3]), "the 16 channels of stage 1 do not divide into 3 heads"),
        (dict(extra_norm_period=0), r"arch\['extra_norm_period'\] must be a positive integer or None, got 0"),
        (dict(extra_norm_period=True), r"arch\['extra_norm_period'\] must be a positive integer or None, got True"),
        (dict(embed_dim=8), r"must have the keys \['depths', 'embed_dims', 'num_heads'\].*got .*'embed_dim'"),
    ],
    ids=str,
)
def test_a_wrong_custom_arch_names_its_key(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SwinTransformerV2(arch=dict(SMALL, **change), out_indices=(0, 1))


@pytest.mark.parametrize("missing", SMALL)
def test_a_missing_key_is_refused(missing: str) -> None:
    arch = {key: value for key, value in SMALL.items() if key != missing}
    with pytest.raises(ValueError, match=r"arch must have the keys \['depths', 'embed_dims', 'num_heads'\]"):
        SwinTransformerV2(arch=arch)


def test_the_message_comes_through_the_registry() -> None:
    with pytest.raises(ValueError, match=r"unknown arch 'tinny'.*did you mean 'tiny'"):
        MODELS.build(dict(type="mmswinv2.SwinTransformerV2", arch="tinny"))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            dict(depths=(10**9, 1), num_heads=(1, 1)),
            r"depths \(1000000000, 1\) are more than 1000 blocks; giant has 50",
        ),
        (dict(embed_dims=10**400, depths=(1,), num_heads=(1,)), r"more than 1e\+12 weights; giant has 3e\+09"),
    ],
)
def test_a_slip_does_not_take_all_of_a_machine(sizes: dict, message: str) -> None:
    """Before any memory is asked for."""
    with pytest.raises(ConfigError, match=message):
        parse_arch(dict(embed_dims=96) | sizes)
