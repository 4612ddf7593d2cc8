"""A checkpoint tells which position bias it has, and is never loaded into a model with another."""

from pathlib import Path

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import load_checkpoint, save_checkpoint

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import convert, describe, open_checkpoint
from mmswinv2.checkpoint.position_biases import find_position_bias, fit_tables
from mmswinv2.errors import CheckpointError
from mmswinv2.layers import POSITION_BIASES, resize_table
from mmswinv2.preflight.hooks import check_weights

from .backbones import TINY, random_backbone

PAIRS = [(stored, asked) for stored in POSITION_BIASES for asked in POSITION_BIASES if stored != asked]
TABLE = "layers.0.blocks.0.attn.relative_position_bias.table"


def saved(folder: Path, position_bias: str, **settings: object) -> tuple[SwinTransformerV2, Path]:
    """A backbone and its checkpoint, as a run writes it."""
    model, path = random_backbone(position_bias=position_bias, **settings), folder / "backbone.pth"
    save_checkpoint({"state_dict": model.state_dict(), "meta": {}}, str(path))
    return model, path


def built(path: Path, **settings: object) -> SwinTransformerV2:
    """A backbone with a checkpoint in its config."""
    model = SwinTransformerV2(TINY, init_cfg={"type": "Pretrained", "checkpoint": str(path)}, **settings)
    model.init_weights()
    return model.eval()


@pytest.mark.parametrize("position_bias", POSITION_BIASES)
def test_a_checkpoint_tells_its_position_bias_and_loads(position_bias: str, tmp_path: Path) -> None:
    model, path = saved(tmp_path, position_bias)
    assert describe(open_checkpoint(str(path)))["position bias"] == position_bias
    loaded = built(path, position_bias=position_bias)
    image = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        for actual, expected in zip(loaded(image), model(image), strict=True):
            assert torch.equal(actual, expected)


@pytest.mark.parametrize(("stored", "asked"), PAIRS)
def test_another_position_bias_is_refused_at_every_door(stored: str, asked: str, tmp_path: Path) -> None:
    """As init_cfg, before a run loads it, and by load_state_dict itself, where MMEngine would only warn."""
    _, path = saved(tmp_path, stored)
    expected = rf"was trained with position_bias='{stored}', the config builds '{asked}': set position_bias='{stored}'"
    model = random_backbone(position_bias=asked)
    with pytest.raises(CheckpointError, match=expected):
        built(path, position_bias=asked)
    with pytest.raises(CheckpointError, match=expected):
        check_weights(model, torch.load(path, weights_only=True), whole_model=True)
    with pytest.raises(CheckpointError, match=expected):
        load_checkpoint(model, str(path))
    with pytest.raises(CheckpointError, match=expected):
        ExponentialMovingAverage(model).load_state_dict(
            ExponentialMovingAverage(random_backbone(position_bias=stored)).state_dict(), strict=False
        )


def test_position_biases_mixed_in_one_file_are_none() -> None:
    names = [f"layers.0.blocks.{block}.attn.{module}.0.weight" for block, module in enumerate(POSITION_BIASES.values())]
    with pytest.raises(CheckpointError, match="several position biases, log_cpb and linear_cpb and table"):
        find_position_bias(names)
    assert find_position_bias(["head.weight"]) is None


@pytest.mark.parametrize("window", [16, (6, 10), 3])
def test_a_table_is_resized_to_the_window_at_every_door(window: int | tuple[int, int], tmp_path: Path) -> None:
    """Swin V1 resizes while it loads. So do init_cfg, and what loads a whole model, after its check."""
    model, path = saved(tmp_path, "table")
    h, w = window if isinstance(window, tuple) else (window, window)
    expected = resize_table(model.state_dict()[TABLE], torch.Size([2 * h - 1, 2 * w - 1, 1]))
    loaded = built(path, window_size=window, position_bias="table")
    assert torch.equal(loaded.state_dict()[TABLE], expected)
    tested = random_backbone(window_size=window, position_bias="table")
    check_weights(tested, torch.load(path, weights_only=True), whole_model=True)
    load_checkpoint(tested, str(path))
    assert torch.equal(tested.state_dict()[TABLE], expected)


def test_what_is_no_table_is_not_resized() -> None:
    """It stays as it is, and the comparison of shapes refuses it."""
    model = {TABLE: torch.zeros(15, 15, 3)}
    for shape in [(15, 15, 2), (15, 14, 3), (225, 3), (15, 15)]:
        assert fit_tables({TABLE: torch.zeros(shape)}, model)[TABLE].shape == shape
    assert fit_tables({TABLE: torch.zeros(5, 7, 3)}, model)[TABLE].shape == (15, 15, 3)


@pytest.mark.parametrize("position_bias", ["linear_cpb", "table"])
@pytest.mark.parametrize("form", ["official", "timm", "hf"])
def test_other_forms_have_log_cpb_alone(position_bias: str, form: str, tmp_path: Path) -> None:
    _, path = saved(tmp_path, position_bias)
    with pytest.raises(CheckpointError, match=f"not log-CPB, and the form {form} knows no other: write it as native"):
        convert(open_checkpoint(str(path)), form)
    native = convert(open_checkpoint(str(path)), "native").state
    SwinTransformerV2(TINY, position_bias=position_bias).load_state_dict(native)
