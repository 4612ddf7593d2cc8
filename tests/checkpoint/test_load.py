"""``init_cfg=dict(type='Pretrained', ...)``: what is loaded, reported and refused."""

import logging
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import load_pretrained
from mmswinv2.errors import CheckpointError

from .. import reference

ARCH = {"embed_dims": 16, "depths": [1, 2], "num_heads": [1, 2]}


def make(**options: object) -> SwinTransformerV2:
    return SwinTransformerV2(**{"arch": ARCH, "out_indices": (0, 1), **options})


def trained(**options: object) -> dict[str, Tensor]:
    """Weights of a model, all of them non-trivial, its pretrained windows among them."""
    return reference.randomize_(make(**options)).state_dict()


def save(path: Path, weights: dict[str, Tensor]) -> str:
    torch.save(weights, path)
    return str(path)


def without_windows(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if name != "pretrained_window_sizes"}


def test_init_weights_loads(tmp_path: Path) -> None:
    """Through MMEngine's own call, inside a bigger model, at another window."""
    weights = trained(window_size=8)
    path = save(tmp_path / "weights.pth", weights)
    model = make(window_size=16, init_cfg=dict(type="Pretrained", checkpoint=path))
    model.init_weights()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_pretrained_comes_after_other_initialisers(tmp_path: Path) -> None:
    """As in MMEngine, whatever the order in which they are listed."""
    weights = trained()
    pretrained = dict(type="Pretrained", checkpoint=save(tmp_path / "weights.pth", weights))
    model = make(init_cfg=[pretrained, dict(type="Constant", layer="Linear", val=7.0)])
    model.init_weights()
    assert torch.equal(model.layers[0].blocks[0].mlp.fc1.weight, weights["layers.0.blocks.0.mlp.fc1.weight"])


def test_other_initialisers_are_mmengine_s() -> None:
    model = make(init_cfg=dict(type="Constant", layer="Linear", val=7.0))
    model.init_weights()
    assert (model.layers[0].blocks[0].mlp.fc1.weight == 7).all()


@pytest.mark.parametrize(
    ("init_cfg", "message"),
    [
        (dict(type="Pretrained"), "needs checkpoint"),
        (dict(type="Pretrained", checkpoint="x.pth", strict=True), "does not know strict"),
    ],
)
def test_a_wrong_init_cfg_is_refused_when_the_model_is_built(init_cfg: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(init_cfg=init_cfg)


def test_the_report_says_what_was_done(tmp_path: Path) -> None:
    weights = {name: tensor for name, tensor in trained(window_size=(8, 4)).items() if not name.startswith("norm0")}
    path = save(tmp_path / "weights.pth", {"state_dict": {f"backbone.{k}": v for k, v in weights.items()} | HEAD})
    report = str(load_pretrained(make(), path))
    for row in (
        f"weights from {path}",
        "native, under state_dict.backbone",
        "dict(embed_dims=16, depths=[1, 2], num_heads=[1, 2])",
        "8x4, 8x4, told by its buffer",
        f"{len(weights) - 1} tensors",
        "norm0.bias, norm0.weight",
        "rpn_head (1)",
    ):
        assert row in report, report


HEAD = {"rpn_head.weight": torch.zeros(2)}


def test_the_report_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = MMLogger.get_instance("report")
    with caplog.at_level(logging.INFO, logger=logger.name):
        logger.addHandler(caplog.handler)
        load_pretrained(make(), save(tmp_path / "weights.pth", trained()))
    assert [
        record.getMessage().splitlines()[0] for record in caplog.records if "weights from" in record.getMessage()
    ] == [f"Backbone weights from {tmp_path}/weights.pth"]


def test_a_config_that_contradicts_the_checkpoint_is_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "weights.pth", trained(window_size=8))
    with pytest.raises(
        CheckpointError, match=r"weights\.pth: pretrained_window_sizes=.*12.*contradicts the checkpoint"
    ):
        load_pretrained(make(pretrained_window_sizes=12), path)


def test_nothing_tells_the_window(tmp_path: Path) -> None:
    """Refused when the config is silent too, taken from the config when it speaks."""
    path = save(tmp_path / "weights.pth", without_windows(trained(window_size=8)))
    with pytest.raises(CheckpointError, match="set pretrained_window_sizes in the backbone's config"):
        load_pretrained(make(window_size=16), path)
    model = make(window_size=16, pretrained_window_sizes=8)
    assert "not told" in str(load_pretrained(model, path))
    assert model.pretrained_window_sizes.tolist() == [[8, 8], [8, 8]]


def test_a_missing_tensor_is_refused_or_with_allow_partial_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = trained()
    name = "layers.1.blocks.0.attn.q_bias"
    del weights[name]
    path = save(tmp_path / "weights.pth", weights)
    with pytest.raises(CheckpointError, match=name):
        load_pretrained(make(), path)
    model = make(init_cfg=dict(type="Pretrained", checkpoint=path, allow_partial=True))
    logger = MMLogger.get_instance("partial")
    logger.addHandler(caplog.handler)
    model.init_weights()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any(name in warning for warning in warnings)
    assert torch.equal(model.layers[1].blocks[0].attn.v_bias, weights["layers.1.blocks.0.attn.v_bias"])


def test_a_refused_checkpoint_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    weights = trained()
    del weights["patch_embed.proj.bias"]
    model = make()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"patch_embed\.proj\.bias"):
        load_pretrained(model, save(tmp_path / "weights.pth", weights))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_of_two_backbones_is_chosen_by_its_prefix(tmp_path: Path) -> None:
    student, teacher = trained(), trained()
    both = {f"student.backbone.{k}": v for k, v in student.items()} | {
        f"teacher.backbone.{k}": v for k, v in teacher.items()
    }
    path = save(tmp_path / "weights.pth", both)
    with pytest.raises(CheckpointError, match=r"prefix='student\.backbone\.' or prefix='teacher\.backbone\.'"):
        load_pretrained(make(), path)
    model = make()
    load_pretrained(model, path, prefix="teacher.")
    assert torch.equal(model.patch_embed.proj.weight, teacher["patch_embed.proj.weight"])


def test_half_precision_weights_load_into_a_single_precision_model(tmp_path: Path) -> None:
    weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in trained().items()}
    model = make()
    load_pretrained(model, save(tmp_path / "weights.pth", weights))
    assert model.patch_embed.proj.weight.dtype == torch.float32
    assert torch.equal(model.patch_embed.proj.weight, weights["patch_embed.proj.weight"].float())


def test_a_model_in_a_model_reports_who_initialised_it(tmp_path: Path) -> None:
    """MMEngine's record of initialisation knows of the load; it would say 'unchanged' otherwise."""
    path = save(tmp_path / "weights.pth", trained())
    model = make(init_cfg=dict(type="Pretrained", checkpoint=path))
    weight = model.patch_embed.proj.weight
    records: dict[nn.Parameter, dict] = {
        parameter: {"init_info": "", "tmp_mean_value": 0} for parameter in model.parameters()
    }
    for module in model.modules():
        module._params_init_info = records
    model.init_weights()
    assert path in records[weight]["init_info"]
