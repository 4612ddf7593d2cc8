"""What stands around a model: the checks of its weights and classes look inside, however deep it is."""

import pytest
import torch
from mmengine.model import BaseModel, BaseTTAModel, ExponentialMovingAverage
from torch import nn

from mmswinv2 import SwinTransformerV2
from mmswinv2.models.backbone import backbones_in, unwrapped
from mmswinv2.preflight import check_weights

ARCH = dict(embed_dims=8, depths=(1, 1), num_heads=(1, 1))


class Model(BaseModel):
    """A model with a backbone and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SwinTransformerV2(ARCH, out_indices=(0, 1))
        self.head = nn.Linear(16, 2)

    def forward(self, inputs: torch.Tensor, mode: str = "tensor") -> torch.Tensor:
        return self.head(self.backbone(inputs)[-1].mean(dim=(2, 3)))


class Views(BaseTTAModel):
    """Test time augmentation."""

    def merge_preds(self, data_samples_list: list) -> list:
        return data_samples_list


def around(model: nn.Module) -> dict[str, nn.Module]:
    """The model in all the wrappers that a run puts around it, those of dist_test.sh --tta among them."""
    return {
        "nothing": model,
        "distribution": nn.DataParallel(model),
        "views": Views(model),
        "distribution of views": nn.DataParallel(Views(model)),
        "averaged weights": ExponentialMovingAverage(model),
    }


@pytest.mark.parametrize("name", around(Model()))
def test_a_model_is_found_inside_its_wrappers(name: str) -> None:
    model = Model()
    inner = unwrapped(around(model)[name])
    assert isinstance(inner, Model)
    assert [key for key, _ in backbones_in(inner)] == ["backbone"]


@pytest.mark.parametrize("name", around(Model()))
def test_a_good_checkpoint_passes_whatever_stands_around_the_model(name: str) -> None:
    """``dist_test.sh --tta`` refused good files: it looked through one wrapper of two."""
    model = Model()
    check_weights(around(model)[name], {"state_dict": model.state_dict()}, whole_model=True)
    wrapped = {f"module.{key}": tensor for key, tensor in model.state_dict().items()}
    check_weights(around(model)[name], {"state_dict": wrapped}, whole_model=True)
    torch.testing.assert_close(dict(model.state_dict()), dict(unwrapped(model).state_dict()))
