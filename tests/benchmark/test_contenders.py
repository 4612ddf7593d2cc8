"""Every contender computes the same, forward and backward: only then do their times compare."""

import pytest
import torch
from torch import Tensor

from mmswinv2.benchmark import contenders
from mmswinv2.benchmark.cases import Case
from mmswinv2.benchmark.contenders import build, check_contenders
from mmswinv2.benchmark.rounds import relative_difference
from mmswinv2.benchmark.steps import check_gradients, make_step, seeded_images
from mmswinv2.benchmark.weights import unfold_order
from mmswinv2.checkpoint.forms import fold_order
from mmswinv2.errors import ConfigError, EnvironmentProblem
from mmswinv2.layers import attention

from .small import CASE

# torchvision pads a map that is smaller than its window: at this size none is.
SIZES = {"timm": (64, 64), "transformers": (64, 64), "torchvision": (256, 256)}


def levels(name: str, case: Case) -> list[Tensor]:
    with torch.no_grad():
        return list(build(name, case).eval()(seeded_images(case)))


@pytest.mark.parametrize("window", [4, 8])
@pytest.mark.parametrize("name", SIZES)
def test_same_outputs(name: str, window: int) -> None:
    case = CASE._replace(size=SIZES[name], window=window)
    ours, theirs = levels("mmswinv2", case), levels(name, case)
    assert all(level.is_contiguous() for level in theirs)
    assert max(map(relative_difference, theirs, ours)) < 1e-5


def test_plain_is_another_way_to_the_same_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = levels("mmswinv2", CASE)
    calls = []

    def counted(*args: Tensor) -> Tensor:
        calls.append(args)
        return plain(*args)

    plain = contenders.cosine_attention_plain
    monkeypatch.setattr(contenders, "cosine_attention_plain", counted)
    monkeypatch.setattr(attention, "cosine_attention", attention.cosine_attention)  # given back after the test
    assert max(map(relative_difference, levels("mmswinv2-plain", CASE), ours)) < 1e-5
    assert calls, "the plain formula was not used"


@pytest.mark.parametrize("name", ["mmswinv2", *SIZES])
def test_same_training_step(name: str) -> None:
    """Every parameter gets a gradient. That of the patches, which has come through the whole model, is the same."""
    case = CASE._replace(size=SIZES.get(name, CASE.size), mode="train")
    steps = [make_step(one, case, compiled=False) for one in ("mmswinv2", name)]
    gradients = []
    for step in steps:
        step.run()
        check_gradients(step)
        gradients.append(next(x.grad for x in step.model.parameters() if x.shape == (32, 3, 4, 4)))
    assert relative_difference(gradients[1], gradients[0]) < 1e-4


def test_same_number_of_parameters() -> None:
    """Nobody carries a head or a norm that the others do without. torchvision's bias of the keys is 0 and counts."""
    sizes = {name: sum(x.numel() for x in build(name, CASE).parameters()) for name in ("mmswinv2", *SIZES)}
    keys = sum(depth * dims for depth, dims in zip(CASE.arch.depths, CASE.arch.stage_dims, strict=True))
    assert sizes == dict.fromkeys(sizes, sizes["mmswinv2"]) | {"torchvision": sizes["mmswinv2"] + keys}


def test_missing_gradient_is_named() -> None:
    step = make_step("mmswinv2", CASE._replace(mode="train"), compiled=False)
    step.run()
    step.model.get_parameter("norm3.weight").grad = None
    with pytest.raises(EnvironmentProblem, match=r"norm3\.weight"):
        check_gradients(step)


def test_weights_depend_on_the_seed_alone() -> None:
    one, other = (build("mmswinv2", CASE._replace(window=window)).state_dict() for window in (4, 8))
    del one["pretrained_window_sizes"], other["pretrained_window_sizes"]
    assert all(torch.equal(one[name], other[name]) for name in one)
    another = build("mmswinv2", CASE._replace(seed=1)).state_dict()
    assert not torch.equal(one["layers.0.blocks.0.norm1.weight"], another["layers.0.blocks.0.norm1.weight"])
    assert one["layers.0.blocks.0.norm1.weight"].abs().min() > 0.1  # with a gain of zero a block does nothing


def test_order_of_mmpretrains_mergings() -> None:
    weight = torch.randn(8, 16)
    assert torch.equal(fold_order(unfold_order(weight)), weight)


def test_no_such_contender() -> None:
    with pytest.raises(ConfigError, match="did you mean 'transformers'"):
        check_contenders(["tranformers"])


def test_twice_the_same_contender() -> None:
    with pytest.raises(ConfigError, match="twice"):
        check_contenders(["timm", "timm"])


def test_contender_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda package: None if package == "timm" else object())
    check_contenders(["mmswinv2", "transformers"])
    with pytest.raises(EnvironmentProblem, match=r"timm is not installed: pip install timm"):
        check_contenders(["mmswinv2", "timm"])
