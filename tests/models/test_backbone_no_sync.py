"""A forward pass looks at values once at the most, to tell whether biases still hold: a GPU would have to wait."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from .small_backbone import make


@pytest.mark.parametrize("training", [True, False])
def test_a_forward_pass_works_without_values(training: bool) -> None:
    """Fake tensors have a shape alone, and refuse every question after what they hold."""
    model, mode = make(drop_path_rate=0.5).train(training), FakeTensorMode()
    state = {name: mode.from_tensor(tensor) for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    with mode, torch.set_grad_enabled(training):
        outputs = functional_call(model, state, torch.randn(2, 3, 70, 45))
        assert [tuple(out.shape[2:]) for out in outputs] == [(18, 12), (9, 6), (5, 3), (3, 2)]
        if training:
            sum(out.sum() for out in outputs).backward()
    # What was kept of it would break the next pass with real values.
    assert all(out.isfinite().all() for out in model.eval()(torch.randn(2, 3, 70, 45)))


@pytest.mark.parametrize(("training", "looks"), [(True, 0), (False, 1)])
def test_values_are_looked_at_once_a_forward_pass_and_never_in_training(
    training: bool, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = make().train(training), torch.randn(1, 3, 64, 64)
    with torch.set_grad_enabled(training):
        model(image)  # the first pass has nothing to compare with
        calls = []
        equal = torch.equal

        def counted(one: Tensor, other: Tensor) -> bool:
            calls.append(None)
            return equal(one, other)

        monkeypatch.setattr(torch, "equal", counted)
        model(image)
    assert len(calls) == looks
