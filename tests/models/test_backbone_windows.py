"""``pretrained_window_sizes`` is state: it goes with the weights, or a wrong bias goes unnoticed."""

import io

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.checkpoint import load_state_dict

from mmswinv2 import SwinTransformerV2

from .. import reference

ARCH = {"embed_dims": 16, "depths": [2, 2, 2], "num_heads": [1, 2, 4]}
KEY = "pretrained_window_sizes"


def make(**options: object) -> SwinTransformerV2:
    return SwinTransformerV2(ARCH, out_indices=(0, 1, 2), **{"window_size": 8, **options})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[8, 8], [8, 8], [8, 8]]),
        ({"window_size": [16, (8, 4), 8]}, [[16, 16], [8, 4], [8, 8]]),
        ({"pretrained_window_sizes": (12, 6)}, [[12, 6], [12, 6], [12, 6]]),
        ({"pretrained_window_sizes": [12, (6, 5), 6]}, [[12, 12], [6, 5], [6, 6]]),
    ],
)
def test_the_buffer_holds_what_the_constructor_says(options: dict, expected: list) -> None:
    """None means the window itself; the buffer is in the state dict and of an integer type."""
    buffer = make(**options).state_dict()[KEY]
    assert buffer.tolist() == expected
    assert not buffer.is_floating_point()


def test_it_survives_saving_and_loading() -> None:
    """None takes the file's value, and with it the features are those of the model that was saved."""
    saved = reference.randomize_(make(pretrained_window_sizes=[12, 12, 6])).eval()
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    loaded = make().eval()
    image = torch.randn(1, 3, 50, 60)
    with torch.no_grad():
        loaded(image)  # leaves a bias of the old windows in the cache
        loaded.load_state_dict(torch.load(file, weights_only=True))
        assert loaded.pretrained_window_sizes.tolist() == [[12, 12], [12, 12], [6, 6]]
        for x, y in zip(loaded(image), saved(image), strict=True):
            assert torch.equal(x, y)


def test_another_window_takes_the_file_s_normaliser() -> None:
    """Weights of window 8 at window 16: the offsets stay normalised by 8, also in the model that is saved again."""
    state = make().state_dict()
    model = make(window_size=16)
    model.load_state_dict(state)
    assert model.state_dict()[KEY].tolist() == [[8, 8], [8, 8], [8, 8]]
    again = make(window_size=24)
    again.load_state_dict(model.state_dict())
    assert again.pretrained_window_sizes.tolist() == [[8, 8], [8, 8], [8, 8]]


@pytest.mark.parametrize("options", [{}, {"pretrained_window_sizes": 12}])
def test_a_file_without_it_leaves_the_constructor_s_value(options: dict) -> None:
    """Official files have none: no missing key, strict loading passes."""
    model = make(**options)
    expected = model.pretrained_window_sizes.clone()
    state = {name: tensor for name, tensor in make().state_dict().items() if name != KEY}
    assert model.load_state_dict(state, strict=True).missing_keys == []
    assert torch.equal(model.pretrained_window_sizes, expected)


def test_other_missing_keys_are_still_reported() -> None:
    state = make().state_dict()
    del state[KEY], state["norm0.weight"]
    assert make().load_state_dict(state, strict=False).missing_keys == ["norm0.weight"]


def test_an_explicit_value_that_agrees_loads() -> None:
    model = make(pretrained_window_sizes=[12, 12, 6])
    model.load_state_dict(make(pretrained_window_sizes=[12, 12, 6]).state_dict())
    assert model.pretrained_window_sizes.tolist() == [[12, 12], [12, 12], [6, 6]]


@pytest.mark.parametrize("strict", [True, False])
def test_an_explicit_value_that_contradicts_the_file_is_an_error(strict: bool) -> None:
    """In non-strict loading and inside another model too, where MMEngine's loader only warns of other errors."""
    model = torch.nn.ModuleDict({"backbone": make(pretrained_window_sizes=16)})
    state = torch.nn.ModuleDict({"backbone": make(pretrained_window_sizes=[12, 12, 6])}).state_dict()
    with pytest.raises(ValueError, match="contradicts the checkpoint") as error:
        load_state_dict(model, state, strict=strict)
    assert "[[16, 16], [16, 16], [16, 16]]" in str(error.value)
    assert "[[12, 12], [12, 12], [6, 6]]" in str(error.value)


@pytest.mark.parametrize(
    "stored",
    [
        torch.tensor([8, 8]),
        torch.full((4, 2), 8),
        torch.full((3, 3), 8),
        torch.full((3, 2), 8.5),
        torch.tensor([[8, 8], [0, 8], [8, 8]]),
    ],
)
def test_a_file_with_something_else_under_the_name_is_an_error(stored: torch.Tensor) -> None:
    state = {**make().state_dict(), KEY: stored}
    with pytest.raises(ValueError, match="pretrained_window_sizes in the checkpoint"):
        make().load_state_dict(state, strict=False)


def test_an_ema_swap_takes_windows_and_bias_along() -> None:
    """MMEngine's EMA hook swaps weights through ``.data``, before and after each evaluation."""
    model = reference.randomize_(make(pretrained_window_sizes=12)).eval()
    hook = EMAHook()
    hook.src_model, hook.ema_model = model, ExponentialMovingAverage(model, momentum=0.5)
    averaged = hook.ema_model.module
    reference.randomize_(averaged)
    image = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        own, other = model(image), averaged(image)
        hook.before_val_epoch(runner=None)
        for actual, expected in ((model(image), other), (averaged(image), own)):
            assert all(torch.equal(x, y) for x, y in zip(actual, expected, strict=True))
        hook.after_val_epoch(runner=None)
        assert all(torch.equal(x, y) for x, y in zip(model(image), own, strict=True))
    assert averaged.pretrained_window_sizes.tolist() == [[12, 12], [12, 12], [12, 12]]
