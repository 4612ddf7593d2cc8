"""Training the backbone: gradients, frozen stages, activation checkpoints, and inference in between."""

import copy

import pytest
import torch

from mmswinv2 import SwinTransformerV2

from .small_backbone import SMALL, loss_of, make


@pytest.mark.parametrize("arch", [SMALL, "tiny"])
def test_every_parameter_gets_a_gradient(arch: str | dict) -> None:
    """Under random gains; with the zero gains of a new model most gradients are exactly zero."""
    model = make(arch=arch, drop_path_rate=0.0)
    loss_of(model(torch.randn(1, 3, 75, 66))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("frozen_stages", [-1, 0, 1, 2, 3, 4])
def test_frozen_stages_stay_as_they_are(frozen_stages: int) -> None:
    """No gradient, no dropout, no change by the optimizer, after train() too; all else trains."""
    model = make(frozen_stages=frozen_stages, drop_rate=0.2, attn_drop_rate=0.2, drop_path_rate=0.5)
    assert model.train() is model and model.training

    def is_frozen(name: str) -> bool:
        first, *rest = name.split(".")
        if first in ("patch_embed", "pos_drop"):
            return frozen_stages >= 0
        stage = int(rest[0]) if first == "layers" else int(first.removeprefix("norm"))
        return stage < frozen_stages

    for name, module in model.named_modules():
        if name not in ("", "layers"):
            assert module.training is not is_frozen(name), name
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad] or [torch.zeros(1)], lr=0.1)
    outputs = model(torch.randn(2, 3, 40, 52))
    if frozen_stages < 4:
        loss_of(outputs).backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad is not is_frozen(name), name
        if is_frozen(name):
            assert parameter.grad is None, name
            assert torch.equal(parameter, before[name]), name


def test_frozen_stages_give_the_same_features_in_training() -> None:
    model = make(frozen_stages=2, out_indices=(0, 1), drop_rate=0.3, attn_drop_rate=0.3, drop_path_rate=0.5)
    image = torch.randn(1, 3, 40, 40)
    for x, y in zip(model.train()(image), model.eval()(image), strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("out_indices", [(0,), (0, 1), (2,)])
def test_stages_after_the_last_output_are_not_trained(out_indices: tuple[int, ...]) -> None:
    """Else distributed training would wait for gradients that never come."""
    model = make(out_indices=out_indices, drop_path_rate=0.0)
    loss_of(model(torch.randn(1, 3, 64, 64))).backward()
    last = out_indices[-1]
    used = {"patch_embed", *(f"norm{i}" for i in out_indices), *(f"layers.{i}" for i in range(last + 1))}
    for name, parameter in model.named_parameters():
        prefix = ".".join(name.split(".")[:2]) if name.startswith("layers") else name.split(".")[0]
        trained = prefix in used and not name.startswith(f"layers.{last}.downsample")
        assert parameter.requires_grad is trained, name
        assert (parameter.grad is not None and bool(parameter.grad.any())) is trained, name


@pytest.mark.parametrize("frozen_stages", [-1, 1])
def test_checkpointing_changes_nothing_but_memory(frozen_stages: int) -> None:
    """Outputs and all gradients, with every kind of dropout drawn from the same seed."""
    image = torch.randn(3, 3, 50, 61)
    options = {"drop_rate": 0.1, "attn_drop_rate": 0.1, "drop_path_rate": 0.4, "frozen_stages": frozen_stages}
    plain = make(**options).train()
    checkpointed = SwinTransformerV2(SMALL, window_size=4, with_cp=True, **options).train()
    checkpointed.load_state_dict(plain.state_dict())
    outputs = []
    for model in (plain, checkpointed):
        torch.manual_seed(5)
        outputs.append(model(image))
        loss_of(outputs[-1]).backward()
    for x, y in zip(*outputs, strict=True):
        assert torch.equal(x, y)
    for (name, x), (_, y) in zip(plain.named_parameters(), checkpointed.named_parameters(), strict=True):
        assert (x.grad is None) is (y.grad is None), name
        if x.grad is not None:
            torch.testing.assert_close(y.grad, x.grad, atol=1e-6, rtol=1e-5, msg=name)


def test_checkpointing_does_recompute() -> None:
    """Each block runs again in the backward pass; without gradients it runs once."""
    model = make(with_cp=True)
    runs = []
    model.layers[2].blocks[1].register_forward_pre_hook(lambda *_: runs.append(None))
    outputs = model(torch.randn(1, 3, 32, 32))
    assert len(runs) == 1
    loss_of(outputs).backward()
    assert len(runs) == 2
    with torch.no_grad():
        model(torch.randn(1, 3, 32, 32))
    assert len(runs) == 3


def test_train_and_eval_return_the_model() -> None:
    model = make()
    assert model.eval() is model and not model.training
    assert model.train() is model and model.training
    assert model.train(False) is model and not model.training


def test_inference_then_training_then_a_copy() -> None:
    """What inference mode leaves behind must not break a backward pass, nor a copy of the model."""
    model, image = make(), torch.randn(1, 3, 40, 40)
    model.eval()
    with torch.inference_mode():
        before = model(image)
    twin = copy.deepcopy(model)
    optimizer = torch.optim.SGD(twin.parameters(), lr=1.0)
    loss_of(twin(image)).backward()
    optimizer.step()
    with torch.no_grad():
        assert all(torch.equal(x, y) for x, y in zip(model(image), before, strict=True))
        assert not any(torch.equal(x, y) for x, y in zip(twin(image), before, strict=True))
