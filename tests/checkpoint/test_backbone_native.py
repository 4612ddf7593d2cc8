"""The backbone is found in what surrounds it; what is no SwinV2, or more than one, is refused."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from mmdet.models import SwinTransformer as MMDetSwin
from mmengine import Config
from torch import Tensor
from torchvision.models.swin_transformer import SwinTransformer as TorchvisionSwin

from mmswinv2.checkpoint import to_native
from mmswinv2.errors import CheckpointError

from ..stock_models import built_model
from ..support import ROOT
from . import peers
from .backbones import TINY, official_state, pretrained_backbone, random_backbone, square


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.backbone.", "encoder.", "student.backbone.", "layers."])
def test_the_prefix_is_found(prefix: str) -> None:
    state = random_backbone().state_dict()
    weights = to_native(prefixed(prefix, state))
    assert weights.prefix == prefix
    assert weights.state.keys() == state.keys()
    assert weights.dropped == ()


def test_what_is_left_out_is_listed_under_its_own_name() -> None:
    state = prefixed("module.", official_state(random_backbone(), square(8, 8, 8, 8)))
    outside = {name: torch.ones(1) for name in ("module.head.weight", "module.mask_token", "steps")}
    dropped = to_native({**state, **outside}).dropped
    assert set(outside) < set(dropped)
    assert "module.layers.0.blocks.1.attn_mask" in dropped
    assert "module.layers.3.blocks.1.attn.relative_coords_table" in dropped
    assert len(dropped) == len(outside) + 8 + 8 + 4  # tables and indices of 8 blocks, masks of every second


def test_a_detector_of_this_project(tmp_path: Path) -> None:
    """A real Mask R-CNN: its neck and heads are left out."""
    config = Config.fromfile(ROOT / "tests/cli/tiny_mask_rcnn.py")
    with built_model(config) as detector:
        torch.save({"meta": {}, "state_dict": detector.state_dict()}, tmp_path / "epoch_1.pth")
    weights = to_native(detector.state_dict())
    assert (weights.form, weights.prefix) == ("native", "backbone.")
    assert any(name.startswith("roi_head.mask_head.") for name in weights.dropped)
    model = pretrained_backbone(tmp_path / "epoch_1.pth", config.model.backbone.arch)
    for name, tensor in detector.backbone.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_a_teacher_and_a_student_need_a_prefix() -> None:
    teacher, student = random_backbone(), random_backbone()
    both = prefixed("teacher.backbone.", teacher.state_dict()) | prefixed("student.backbone.", student.state_dict())
    choices = r"2 backbones: .* prefix='student\.backbone\.' or prefix='teacher\.backbone\.' in init_cfg"
    with pytest.raises(CheckpointError, match=choices):
        to_native(both)
    for prefix in ("teacher.", "teacher.backbone."):
        assert torch.equal(to_native(both, prefix).state["norm0.weight"], teacher.norm0.weight)


def test_the_outer_of_two_backbones_can_be_chosen() -> None:
    """The empty prefix is a choice too, which the error offers."""
    outer, inner = random_backbone(), random_backbone()
    both = outer.state_dict() | prefixed("teacher.", inner.state_dict())
    with pytest.raises(CheckpointError, match=r"prefix='' or prefix='teacher\.'"):
        to_native(both)
    assert torch.equal(to_native(both, "").state["norm0.weight"], outer.norm0.weight)
    assert torch.equal(to_native(both, "teacher.").state["norm0.weight"], inner.norm0.weight)


def test_a_wrong_prefix_says_what_there_is() -> None:
    with pytest.raises(CheckpointError, match=r"no SwinV2 backbone below 'neck\.', but \d+ tensors: backbone\."):
        to_native(prefixed("backbone.", random_backbone().state_dict()), "neck.")


V1 = {
    "timm": lambda: timm.create_model("swin_tiny_patch4_window7_224", embed_dim=24, depths=(1, 1, 1, 1)),
    "mmdet": lambda: MMDetSwin(embed_dims=24, depths=(1, 1, 1, 1)),
    "torchvision": lambda: TorchvisionSwin([4, 4], 24, [1] * 4, [3, 6, 12, 24], [7, 7], num_classes=1),
}


@pytest.mark.parametrize("library", V1)
def test_swin_v1_is_refused_as_what_it_is(library: str) -> None:
    state = prefixed("backbone.", V1[library]().state_dict())
    with pytest.raises(CheckpointError, match=r"Transformer V1: \S+\.relative_position_bias_table is a table where V2"):
        to_native(state)


def test_another_network_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"no SwinV2 backbone, but 122 tensors: conv1\.weight, bn1\."):
        to_native(torchvision.models.resnet18().state_dict())


def test_no_tensors_are_refused() -> None:
    with pytest.raises(CheckpointError, match="no SwinV2 backbone, but no tensors at all"):
        to_native({})


def test_transformers_heads_and_mask_token_are_left_out() -> None:
    classifier = peers.hf_classifier(peers.hf_config(TINY, 64, 8))
    weights = to_native({**classifier.state_dict(), "swinv2.embeddings.mask_token": torch.zeros(1, 1, 16)})
    assert weights.prefix == "swinv2."
    assert set(weights.dropped) == {"classifier.weight", "classifier.bias", "swinv2.embeddings.mask_token"}


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn], ids=str)
@pytest.mark.parametrize("name", ["layers.0.blocks.1.mlp.fc1.weight", "layers.0.blocks.0.attn.relative_coords_table"])
def test_numbers_that_weights_cannot_be_are_refused_by_name(name: str, dtype: torch.dtype) -> None:
    """A table is no weight, but tells the windows by its values."""
    state = official_state(random_backbone(), square(8, 8, 8, 8))
    wrong = rf"weights are floating-point .* but not backbone\.{name} \({str(dtype).removeprefix('torch.')}\)"
    with pytest.raises(CheckpointError, match=wrong):
        to_native(prefixed("backbone.", {**state, name: state[name].to(dtype)}))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_weights_of_any_precision_are_taken(dtype: torch.dtype) -> None:
    """Beside the integers of buffers, which are left out."""
    state = official_state(random_backbone(), square(8, 8, 8, 8))
    cast = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    assert {tensor.dtype for tensor in to_native(cast).state.values()} == {dtype}
