"""A whole model's checkpoint that does not hold its backbone is refused, where MMEngine would only warn."""

import pytest
import torch
from mmengine.model import BaseTTAModel
from torch import nn

from mmswinv2 import SwinTransformerV2
from mmswinv2.errors import CheckpointError
from mmswinv2.preflight import check_weights

ARCH = {"embed_dims": 16, "depths": [2, 2], "num_heads": [1, 2]}


class Detector(nn.Module):
    """What the check sees of a detector: a backbone beside a head."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.backbone = SwinTransformerV2(**{"arch": ARCH, "out_indices": (0, 1), **options})
        self.head = nn.Linear(2, 2)

    def test_step(self, data: dict) -> None:
        """Asked for by ``BaseTTAModel``."""


@pytest.mark.parametrize("prefix", ["", "module."])
def test_its_own_checkpoint_passes(prefix: str) -> None:
    """Also with another head, as in fine-tuning on other classes, and from a distributed run."""
    state = {f"{prefix}{name}": tensor for name, tensor in Detector().state_dict().items() if "head" not in name}
    check_weights(Detector(), {"state_dict": state, "meta": {}}, whole_model=False)
    check_weights(Detector(), state, whole_model=False)


def test_test_time_augmentation_is_looked_through() -> None:
    class Views(BaseTTAModel):
        def merge_preds(self, data_samples_list: list) -> list:
            return data_samples_list

    model = Views(module=Detector())
    check_weights(model, {"state_dict": Detector().state_dict()}, whole_model=False)
    with pytest.raises(CheckpointError, match="nothing for the model's backbone"):
        check_weights(model, {"state_dict": {"head.weight": torch.zeros(2, 2)}}, whole_model=False)


def test_a_backbone_s_file_is_sent_to_init_cfg() -> None:
    with pytest.raises(CheckpointError, match=r"nothing for the model's backbone.*model\.backbone\.init_cfg"):
        check_weights(Detector(), Detector().backbone.state_dict(), whole_model=False)


def test_a_missing_tensor_is_named() -> None:
    state = Detector().state_dict()
    del state["backbone.layers.0.blocks.1.attn.cpb_mlp.2.weight"]
    with pytest.raises(CheckpointError, match=r"(?s)backbone: .*layers\.0\.blocks\.1\.attn\.cpb_mlp\.2\.weight"):
        check_weights(Detector(), {"state_dict": state}, whole_model=False)


def test_another_arch_is_named() -> None:
    other = Detector(arch={**ARCH, "depths": [2, 4]})
    with pytest.raises(CheckpointError, match=r"checkpoint needs arch=.*depths=\[2, 4\]"):
        check_weights(Detector(), {"state_dict": other.state_dict()}, whole_model=False)


def test_a_level_that_is_not_returned_needs_no_norm() -> None:
    check_weights(Detector(out_indices=(1,)), {"state_dict": Detector().state_dict()}, whole_model=False)
    check_weights(Detector(), {"state_dict": Detector(out_indices=(1,)).state_dict()}, whole_model=False)


def test_a_run_to_go_on_with_needs_every_tensor() -> None:
    """A detector's file for SimMIM, or a pretraining's for a detector: the backbones alone may fit."""
    state = Detector().state_dict()
    del state["backbone.pretrained_window_sizes"]  # older files have none, the config tells them
    check_weights(Detector(), state, whole_model=True)
    without_head = {name: tensor for name, tensor in state.items() if "head" not in name}
    with pytest.raises(
        CheckpointError, match=r"(?s)another model.*not in the checkpoint \(2\): head\.weight, head\.bias"
    ):
        check_weights(Detector(), without_head, whole_model=True)
    with pytest.raises(CheckpointError, match=r"of another shape \(1\): head\.bias"):
        check_weights(Detector(), {**state, "head.bias": torch.zeros(3)}, whole_model=True)
    with pytest.raises(CheckpointError, match=r"not in the checkpoint \(2\): backbone\.norm0"):
        check_weights(Detector(), Detector(out_indices=(1,)).state_dict(), whole_model=True)
