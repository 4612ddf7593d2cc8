"""The backbone's keywords: those of other Swins are explained, typing errors get the nearest, values are checked."""

import re
from inspect import signature
from pathlib import Path

import mmdet
import mmdet.models
import mmseg
import mmseg.models
import pytest
from mmdet.registry import MODELS
from mmengine.config import Config

from mmswinv2 import SwinTransformerV2
from mmswinv2.arch import FOREIGN_KEYWORDS, reject_keywords
from mmswinv2.errors import ConfigError

SMALL = dict(arch=dict(embed_dims=8, depths=[1, 1, 1], num_heads=[1, 2, 2]), out_indices=(0, 1, 2))
OWN = set(signature(SwinTransformerV2).parameters) - {"unknown"}

# Every keyword of Swin V1 that a stock config may hold, with what the message must say instead.
V1_FORMS = {
    "embed_dims": r"arch='tiny' ... 'giant', or arch=dict\(embed_dims=, depths=, num_heads=\)",
    "depths": "arch='tiny' ... 'giant', or arch=dict",
    "num_heads": "arch='tiny' ... 'giant', or arch=dict",
    "mlp_ratio": "always 4",
    "strides": r"always \(4, 2, 2, 2\).*patch_size",
    "qkv_bias": "k never has one; remove it",
    "qk_scale": "logit_scale",
    "patch_norm": "always normalised; remove it",
    "use_abs_pos_embed": "log-CPB",
    "pretrain_img_size": "pretrained_window_sizes",
    "pretrained": r"init_cfg=dict\(type='Pretrained', checkpoint=...\)",
    "convert_weights": "permute Swin V2 weights wrongly; remove it",
    "act_cfg": "remove it",
    "norm_cfg": "remove it",
}


@pytest.mark.parametrize("keyword", V1_FORMS)
def test_v1_keyword_names_the_v2_form(keyword: str) -> None:
    message = rf"(?s)SwinTransformerV2 has no such keyword:\n  {keyword}: .*{V1_FORMS[keyword]}.*_delete_=True"
    with pytest.raises(TypeError, match=message):
        SwinTransformerV2(**{keyword: None})


@pytest.mark.parametrize("v1", [mmdet.models.SwinTransformer, mmseg.models.SwinTransformer], ids=["mmdet", "mmseg"])
def test_no_v1_keyword_is_left_unexplained(v1: type) -> None:
    foreign = set(signature(v1).parameters) - OWN - {"self"}
    assert foreign  # else the comparison below says nothing
    assert foreign <= set(FOREIGN_KEYWORDS)


def test_no_own_keyword_counts_as_foreign() -> None:
    assert not OWN & set(FOREIGN_KEYWORDS)


def test_a_stock_v1_backbone_with_another_type_explains_all_keywords() -> None:
    """What a first try at the swap looks like: one error that goes through all its keywords."""
    stock = Path(mmdet.__file__).parent / ".mim/configs/swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py"
    backbone = Config.fromfile(stock).model.backbone
    backbone.type = "mmswinv2.SwinTransformerV2"
    with pytest.raises(TypeError) as error:
        MODELS.build(backbone)
    lines = str(error.value).splitlines()
    foreign = [key for key in backbone if key not in {*OWN, "type"}]
    assert {"embed_dims", "qkv_bias", "convert_weights"} <= set(foreign)
    assert [line.split(":")[0].strip() for line in lines[1:-1]] == foreign
    assert "_delete_=True" in lines[-1]


def test_a_config_that_replaces_the_backbone_is_built(tmp_path: Path) -> None:
    """What the message advises works: `_delete_=True` leaves none of the V1 keywords behind."""
    stock = Path(mmdet.__file__).parent / ".mim/configs/swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py"
    child = tmp_path / "child.py"
    child.write_text(
        f"_base_ = {str(stock)!r}\n"
        "model = dict(backbone=dict(_delete_=True, type='mmswinv2.SwinTransformerV2', "
        "arch=dict(embed_dims=8, depths=[1], num_heads=[1]), out_indices=(0,)))\n"
    )
    assert isinstance(MODELS.build(Config.fromfile(child).model.backbone), SwinTransformerV2)


@pytest.mark.parametrize(
    ("keyword", "nearest"),
    [
        ("window_sizes", "window_size"),
        ("windows_size", "window_size"),
        ("pretrained_window_size", "pretrained_window_sizes"),
        ("out_index", "out_indices"),
        ("drop_path", "drop_path_rate"),
        ("frozen_stage", "frozen_stages"),
        ("in_channel", "in_channels"),
    ],
)
def test_typing_error_suggests_the_nearest(keyword: str, nearest: str) -> None:
    with pytest.raises(TypeError, match=f"{keyword}: did you mean '{nearest}'\\?$"):
        SwinTransformerV2(**{keyword: 1})


def test_a_keyword_like_no_other_gets_the_list() -> None:
    with pytest.raises(TypeError, match=r"xyz: choose from arch, in_channels, .*init_cfg$"):
        SwinTransformerV2(xyz=1)


def test_every_unknown_keyword_gets_its_line() -> None:
    with pytest.raises(
        TypeError, match=r"(?s)\n  depths: .*\n  out_index: did you mean 'out_indices'.*\n  zzz: choose"
    ):
        SwinTransformerV2(depths=[2], out_index=1, zzz=2)


def test_nothing_is_raised_where_nothing_is_unknown() -> None:
    assert reject_keywords([], OWN) is None


@pytest.mark.parametrize(
    "out_indices", [(), [], None, 2, "01", (0, 3), (-1, 0), (0, 1.0), ("0",), {0, 1}, (False, True)], ids=str
)
def test_out_indices_that_are_no_stages_are_refused(out_indices: object) -> None:
    with pytest.raises(ValueError, match="out_indices must be stages from 0 to 2, at least one, got"):
        SwinTransformerV2(**{**SMALL, "out_indices": out_indices})


@pytest.mark.parametrize("out_indices", [(1, 1), (0, 1, 1), (2, 1), (1, 0, 2)], ids=str)
def test_out_indices_repeated_or_out_of_order_are_refused(out_indices: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="out_indices must ascend without repetition, got"):
        MODELS.build(dict(type="mmswinv2.SwinTransformerV2", **{**SMALL, "out_indices": out_indices}))


@pytest.mark.parametrize("key", ["in_channels", "patch_size"])
@pytest.mark.parametrize("value", [0, -3, 4.0, True, "4", None, (4, 4)], ids=str)
def test_counts_are_positive_integers(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{key} must be a positive integer, got"):
        SwinTransformerV2(**SMALL, **{key: value})


@pytest.mark.parametrize("key", ["drop_rate", "attn_drop_rate", "drop_path_rate"])
@pytest.mark.parametrize("value", [-0.1, 1, 1.0, 20, float("nan")], ids=str)
def test_rates_lie_in_0_to_1(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{key} must lie in \[0, 1\), got"):
        SwinTransformerV2(**SMALL, **{key: value})


@pytest.mark.parametrize("frozen_stages", [-2, 4, 1.0, "1", None, (0,), True], ids=str)
def test_frozen_stages_out_of_range_are_refused(frozen_stages: object) -> None:
    with pytest.raises(ValueError, match="frozen_stages must be an integer from -1 to 3, got"):
        SwinTransformerV2(**SMALL, frozen_stages=frozen_stages)


@pytest.mark.parametrize("key", ["drop_rate", "attn_drop_rate", "drop_path_rate"])
@pytest.mark.parametrize("value", ["0.1", None, True, [0.1]])
def test_rates_are_numbers(key: str, value: object) -> None:
    """A string, as from a command line with too many quotes, is no rate."""
    with pytest.raises(ConfigError, match=rf"{key} must be a number in \[0, 1\), got {re.escape(repr(value))}"):
        SwinTransformerV2(**{key: value})
