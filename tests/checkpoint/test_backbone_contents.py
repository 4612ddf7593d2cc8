"""Where the weights are in a file: containers, averaged weights, files without any."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from torch import Tensor

from mmswinv2.checkpoint.backbone import find_state_dict, model_weights
from mmswinv2.errors import CheckpointError

from .backbones import pretrained_backbone, random_backbone

WEIGHTS = {"a.weight": torch.ones(1)}
OTHER = {"a.weight": torch.zeros(1)}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (WEIGHTS, ""),
        ({**WEIGHTS, "epoch": 3}, ""),
        ({"state_dict": WEIGHTS, "meta": {}, "optimizer": {"state": {}}}, "state_dict"),
        ({"model": WEIGHTS, "config": {}}, "model"),
        ({"model": {"student": WEIGHTS, "teacher": OTHER}}, "model.student"),
        ({"module": WEIGHTS}, "module"),
        ({"state_dict": OTHER, "state_dict_ema": WEIGHTS}, "state_dict_ema"),
        ({"model": OTHER, "model_ema": WEIGHTS}, "model_ema"),
        ({"ema_state_dict": {"module.a.weight": OTHER}, "state_dict": WEIGHTS}, "state_dict"),
        ({"ema_state_dict": WEIGHTS}, "ema_state_dict"),
        ({"model_ema": None, "model": WEIGHTS}, "model"),
        ({"state_dict_ema": {}, "state_dict": WEIGHTS}, "state_dict"),
    ],
)
def test_the_weights_are_found(content: dict, place: str) -> None:
    """Averaged weights are preferred; an empty place for them is passed over."""
    assert find_state_dict(content) == (WEIGHTS, place)


@pytest.mark.parametrize(
    ("content", "held"), [({}, "nothing"), ({"epoch": 3, "meta": {}}, "epoch, meta"), ({"model": {"x": 1}}, "x")]
)
def test_no_weights(content: dict, held: str) -> None:
    with pytest.raises(CheckpointError, match=f"no weights: it holds {held}$"):
        find_state_dict(content)


NO_WEIGHTS = {
    "sparse, they are dense": torch.ones(2, 2).to_sparse(),
    "nested, they are dense": torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
    "quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    "without values": torch.ones(2, device="meta"),
    "of the class UninitializedParameter": torch.nn.UninitializedParameter(),
    "larger than the data": torch.ones(1).expand(2**33),
}


@pytest.mark.parametrize("fault", NO_WEIGHTS)
@pytest.mark.parametrize("weights_of", [find_state_dict, model_weights], ids=["form", "model"])
def test_a_tensor_that_is_no_weight_is_refused_by_name(fault: str, weights_of: Callable) -> None:
    """Wherever weights are taken from a file: for the backbone alone or for a whole model."""
    with pytest.raises(CheckpointError, match=rf"weights cannot be {fault}.* \(1\): b\.weight"):
        weights_of({"state_dict": {**WEIGHTS, "b.weight": NO_WEIGHTS[fault]}})


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (7, "a key of type int"),
        (("a", "b"), "a key of type tuple"),
        (b"a.weight", "a key of type bytes"),
        ("a\ud800", r"a\\ud800"),
        ("a\nb", r"a\\nb"),
        ("x" * 301, "x{60}$"),
    ],
    ids=ascii,
)
def test_a_name_that_no_model_has_is_refused(name: object, shown: str) -> None:
    """It could not be shown in a message, or sorted among the others."""
    with pytest.raises(CheckpointError, match=rf"no printable string of at most 300 characters \(1\): {shown}"):
        find_state_dict({**WEIGHTS, name: torch.ones(1)})


def test_what_is_no_tensor_is_passed_over() -> None:
    """Files have counters and lists between their weights, under keys of any kind."""
    content = {**WEIGHTS, "epoch": 3, 7: "x", ("a",): None, "list": [torch.ones(1)]}
    assert find_state_dict(content) == (WEIGHTS, "")
    assert model_weights({"state_dict": content}) == WEIGHTS


def test_a_state_dict_that_is_none() -> None:
    with pytest.raises(CheckpointError, match="no weights: its state_dict is a list"):
        model_weights({"state_dict": [1]})


def test_containers_without_end() -> None:
    content: dict = {"model": {}}
    content["model"] = content
    with pytest.raises(CheckpointError, match=r"no weights: model\.model.* is a dict in a dict, and so on"):
        find_state_dict(content)


def average_in_mmengine(model: torch.nn.Module) -> dict[str, dict[str, Tensor]]:
    """What a Runner with an EMAHook saves once the averaged weights, all 7, differ from the model's."""
    runner, hook = SimpleNamespace(model=model), EMAHook()
    hook.before_run(runner)
    for parameter in hook.ema_model.module.parameters():
        parameter.data.fill_(7.0)
    checkpoint = {"state_dict": model.state_dict()}
    hook.before_save_checkpoint(runner, checkpoint)
    return checkpoint


def test_mmengine_s_averaged_weights_load(tmp_path: Path) -> None:
    """EMAHook swaps: `state_dict` holds the averaged weights and `ema_state_dict` the raw ones."""
    checkpoint = average_in_mmengine(torch.nn.Sequential(random_backbone()))
    torch.save(checkpoint, tmp_path / "epoch_1.pth")
    model = pretrained_backbone(tmp_path / "epoch_1.pth")
    assert all((parameter == 7).all() for parameter in model.parameters())


def test_timm_s_averaged_weights_load(tmp_path: Path) -> None:
    raw, averaged = random_backbone(), random_backbone()
    torch.save({"state_dict": raw.state_dict(), "state_dict_ema": averaged.state_dict()}, tmp_path / "last.pth")
    model = pretrained_backbone(tmp_path / "last.pth")
    assert torch.equal(model.norm3.weight, averaged.norm3.weight)
    assert not torch.equal(model.norm3.weight, raw.norm3.weight)
