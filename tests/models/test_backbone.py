"""The backbone as a whole: shapes, names, sizes, gradients, reach, precision and what it refuses."""

import copy
import math
from collections.abc import Callable

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from mmswinv2 import SwinTransformerV2
from mmswinv2.arch import ARCHS
from mmswinv2.layers import DropPath, LogCPB

from .. import reference

# Four stages with both kinds of block in each, and an extra norm at the end of each.
SMALL = {"embed_dims": 16, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8], "extra_norm_period": 2}


def make(**options: object) -> SwinTransformerV2:
    return reference.randomize_(SwinTransformerV2(**{"arch": SMALL, "window_size": 4, **options}))


def loss_of(outputs: tuple[Tensor, ...]) -> Tensor:
    """A loss with its own weight for every output value: a plain sum would be blind behind a LayerNorm."""
    generator = torch.Generator().manual_seed(1)
    return sum((x * torch.randn(x.shape, generator=generator)).sum() for x in outputs)


@pytest.fixture(scope="module")
def model() -> SwinTransformerV2:
    """In evaluation mode, not to be changed."""
    torch.manual_seed(0)
    return make().eval()


# Shapes


@settings(deadline=None, derandomize=True, max_examples=30)
@given(batch=st.integers(1, 2), height=st.integers(1, 90), width=st.integers(1, 90))
@torch.no_grad()
def test_any_size_gives_contiguous_maps_of_every_level(
    model: SwinTransformerV2, batch: int, height: int, width: int
) -> None:
    outputs = model(torch.randn(batch, 3, height, width))
    for stage, out in enumerate(outputs):
        stride = 4 * 2**stage
        assert out.shape == (batch, 16 * 2**stage, math.ceil(height / stride), math.ceil(width / stride))
        assert out.is_contiguous()
        assert out.isfinite().all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (37, 101), (64, 64)])
@pytest.mark.parametrize(
    "windows",
    [
        4,
        (3, 5),
        [(8, 8), (8, 8), (8, 4), (4, 8)],
        [2, 3, 4, 5],
        1,
    ],
)
@torch.no_grad()
def test_same_as_the_official_arithmetic_for_any_size_and_window(windows: int | list | tuple, size: tuple) -> None:
    """Non-square windows and windows per stage, against pad, roll and mask with padding masked as keys."""
    model = make(window_size=windows, pretrained_window_sizes=[(6, 7), (8, 8), (5, 5), (1, 4)]).eval()
    image = torch.randn(1, 3, *size)
    pretrained = [tuple(pair) for pair in model.pretrained_window_sizes.tolist()]
    expected = reference.network(model.state_dict(), image, model.window_sizes, pretrained)
    for actual, out in zip(model(image), expected, strict=True):
        torch.testing.assert_close(actual, out, atol=1e-4, rtol=0)


@pytest.mark.parametrize("out_indices", [(0,), (3,), (1, 2), (0, 3), (0, 1, 2, 3)])
@torch.no_grad()
def test_out_indices_choose_among_the_same_features(model: SwinTransformerV2, out_indices: tuple[int, ...]) -> None:
    chosen = SwinTransformerV2(arch=SMALL, window_size=4, out_indices=out_indices).eval()
    missing, unexpected = chosen.load_state_dict(model.state_dict(), strict=False)
    assert not missing
    assert {name.split(".")[0] for name in unexpected} == {f"norm{i}" for i in range(4) if i not in out_indices}
    image = torch.randn(1, 3, 45, 70)
    every = model(image)
    for index, out in zip(out_indices, chosen(image), strict=True):
        assert torch.equal(out, every[index])


@pytest.mark.parametrize("channels", [1, 3, 5])
@torch.no_grad()
def test_other_channels_and_patch_sizes(channels: int) -> None:
    outputs = make(in_channels=channels, patch_size=2).eval()(torch.randn(1, channels, 33, 20))
    assert [tuple(out.shape[2:]) for out in outputs] == [(17, 10), (9, 5), (5, 3), (3, 2)]


@pytest.mark.parametrize("shape", [(1, 3, 0, 8), (1, 3, 8, 0), (0, 3, 8, 8), (1, 4, 8, 8), (3, 8, 8), (1, 3, 8)])
def test_wrong_input_is_named(model: SwinTransformerV2, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\) with B, H and W at least 1, got ") as error:
        model(torch.zeros(shape))
    assert str(tuple(shape)) in str(error.value)


# Names and sizes


def official_names(depths: tuple[int, ...], extra_norms: set[tuple[int, int]]) -> set[str]:
    """Names of the official release for the backbone, with ``norm0`` to ``norm3`` for its one ``norm``."""

    def layer(name: str) -> list[str]:
        return [f"{name}.weight", f"{name}.bias"]

    names = [*layer("patch_embed.proj"), *layer("patch_embed.norm"), "pretrained_window_sizes"]
    for stage, depth in enumerate(depths):
        for index in range(depth):
            block = f"layers.{stage}.blocks.{index}"
            names += [f"{block}.attn.{name}" for name in ("q_bias", "v_bias", "logit_scale", "qkv.weight")]
            names += [*layer(f"{block}.attn.cpb_mlp.0"), f"{block}.attn.cpb_mlp.2.weight", *layer(f"{block}.attn.proj")]
            names += [*layer(f"{block}.norm1"), *layer(f"{block}.norm2")]
            names += [*layer(f"{block}.mlp.fc1"), *layer(f"{block}.mlp.fc2")]
            if (stage, index) in extra_norms:
                names += layer(f"{block}.enorm")
        if stage < len(depths) - 1:
            names += [f"layers.{stage}.downsample.reduction.weight", *layer(f"layers.{stage}.downsample.norm")]
        names += layer(f"norm{stage}")
    return set(names)


@pytest.mark.parametrize("arch", ["tiny", "small", "base", "large", "huge", "giant"])
def test_names_are_the_official_ones(arch: str) -> None:
    """Huge and giant end every 6th block of a stage with an extra norm, counted within the stage."""
    expected_norms = {
        "huge": {(2, 5), (2, 11), (2, 17)},
        "giant": {(2, index) for index in (5, 11, 17, 23, 29, 35, 41)},
    }
    with torch.device("meta"):
        model = SwinTransformerV2(arch)
    assert set(model.state_dict()) == official_names(ARCHS[arch].depths, expected_norms.get(arch, set()))


@pytest.mark.parametrize(
    ("arch", "millions", "rounded"),
    [
        ("tiny", 27.6, 1),
        ("small", 49.0, 1),
        ("base", 86.9, 1),
        ("large", 195.2, 1),
        ("huge", 655, 0),
        ("giant", 3.0e3, -2),
    ],
)
def test_sizes_are_the_published_ones(arch: str, millions: float, rounded: int) -> None:
    """Parameters without a classifier; on the meta device, where 3 billion cost nothing."""
    with torch.device("meta"):
        model = SwinTransformerV2(arch)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, rounded) == millions


@pytest.mark.parametrize(("arch", "peer"), [("tiny", "swinv2_tiny_window8_256"), ("base", "swinv2_base_window8_256")])
def test_as_many_parameters_as_timm(arch: str, peer: str) -> None:
    """To the last one; we alone have norms for the first three levels."""
    with torch.device("meta"):
        model = SwinTransformerV2(arch, out_indices=(3,))
        other = timm.create_model(peer, num_classes=0)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in other.parameters())


def test_initial_values_are_the_official_ones() -> None:
    """Linear layers from N(0, 0.02) without bias; zero post-norms; so every new block is the identity."""
    model = SwinTransformerV2({**SMALL, "extra_norm_period": None})
    for name, parameter in model.named_parameters():
        if (
            ".norm1." in name
            or ".norm2." in name
            or name.endswith((".q_bias", ".v_bias", "fc1.bias", "attn.proj.bias"))
        ):
            assert not parameter.any(), name
    weights = torch.cat([module.weight.flatten() for module in model.modules() if isinstance(module, nn.Linear)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert weights.mean().abs() < 1e-3
    x = torch.randn(1, 9, 7, 16)
    assert torch.equal(model.layers[0](x, model.pretrained_window_sizes[0]), x)


def test_stochastic_depth_rises_linearly_over_all_blocks() -> None:
    model = SwinTransformerV2(SMALL, drop_path_rate=0.7)
    rates = [module.drop_rate for module in model.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])


# Reach


@pytest.mark.parametrize(("size", "pixel"), [((150, 131), (70, 3)), ((97, 203), (96, 202)), ((133, 133), (0, 64))])
@torch.no_grad()
def test_a_pixel_reaches_no_output_outside_its_windows(size: tuple[int, int], pixel: tuple[int, int]) -> None:
    """The reach follows from the window grid alone; outputs outside it are bit for bit the same."""
    model = make(window_size=[2, (3, 2), 2, 2]).eval()
    image = torch.randn(1, 3, *size)
    perturbed = image.clone()
    perturbed[..., pixel[0], pixel[1]] += 1.0

    touched = torch.zeros(1, math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    touched[0, pixel[0] // 4, pixel[1] // 4] = 1
    untouched = 0
    for stage, (before, after) in enumerate(zip(model(image), model(perturbed), strict=True)):
        touched = spread(touched, model.window_sizes[stage])
        changed = (before != after).any(1)
        assert not (changed & ~touched.bool()).any(), f"stage {stage}: a change outside the reach"
        assert changed.any()
        untouched += (~touched.bool()).sum()
        touched = F.max_pool2d(touched, 2, ceil_mode=True)
    assert untouched > 500  # so that there was something to protect


def spread(touched: Tensor, window: tuple[int, int]) -> Tensor:
    """What a plain and a shifted block make of the tokens (1, H, W) that a change has touched."""
    for shift in ((0, 0), (window[0] // 2, window[1] // 2)):
        rows, columns = map(reference.grid_runs, touched.shape[1:], window, shift)
        cells = rows[:, None] * 1000 + columns[None, :]  # a number for each window
        touched = torch.isin(cells, cells[touched[0] > 0])[None].float()
    return touched


# Independence of batch and history


@torch.no_grad()
def test_an_image_is_the_same_alone_and_in_a_batch(model: SwinTransformerV2) -> None:
    images = torch.randn(3, 3, 50, 77)
    for index in range(3):
        for alone, batched in zip(model(images[index : index + 1]), model(images), strict=True):
            torch.testing.assert_close(alone[0], batched[index], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_small_image_before_changes_nothing_for_a_large_one(mode: Callable) -> None:
    """Maps smaller than the window shrink it for themselves only: no state, no cache remains."""
    model = make(window_size=8).eval()
    small, large = torch.randn(1, 3, 13, 9), torch.randn(1, 3, 90, 101)
    with mode():
        alone = copy.deepcopy(model)(large)
        model(small)
        after = model(large)
    for x, y in zip(after, alone, strict=True):
        assert torch.equal(x, y)


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


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_position_bias_is_computed_once_for_many_images(monkeypatch: pytest.MonkeyPatch, mode: Callable) -> None:
    """One evaluation of each block's meta network, for images of whatever size above the window."""
    model, evaluations = make().eval(), []
    evaluate = LogCPB.evaluate
    monkeypatch.setattr(LogCPB, "evaluate", lambda *args: evaluations.append(None) or evaluate(*args))
    with mode():
        for size in ((140, 150), (129, 200), (140, 150)):
            model(torch.randn(1, 3, *size))
    assert len(evaluations) == sum(SMALL["depths"])


# Gradients


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


# Precision


def extreme(model: nn.Module) -> nn.Module:
    """Scales beyond the clamp, and activations that grow to some thousand on the main branch."""
    for name, parameter in model.named_parameters():
        if name.endswith("logit_scale"):
            nn.init.constant_(parameter, 9.0)
        elif name.endswith(("norm1.weight", "norm2.weight")):
            nn.init.constant_(parameter, 500.0)
    return model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [(50, 61), (1, 1), (1, 40), (40, 1)])
@pytest.mark.parametrize("window", [4, 1])
def test_finite_under_autocast(dtype: torch.dtype, window: int, size: tuple[int, int]) -> None:
    """Outputs and gradients, at clamped scales and large activations, windows of one token and images of one pixel."""
    model = extreme(make(window_size=window, arch={**SMALL, "extra_norm_period": None}))
    with torch.autocast("cpu", dtype):
        outputs = model(torch.randn(1, 3, *size) * 100)
        loss = sum(x.float().square().mean() for x in outputs)
    loss.backward()
    assert all(x.isfinite().all() for x in outputs)
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_finite_in_low_precision(dtype: torch.dtype) -> None:
    """A model cast as a whole, and close to the float32 one as far as its eps goes."""
    model = make(arch={**SMALL, "extra_norm_period": None}).eval()
    image = torch.randn(1, 3, 50, 61)
    exact = model(image)
    outputs = copy.deepcopy(model).to(dtype)(image.to(dtype))
    for x, y in zip(outputs, exact, strict=True):
        assert x.dtype == dtype
        assert x.isfinite().all()
        deviation = (x.float() - y).square().mean().sqrt()
        assert deviation < 8 * torch.finfo(dtype).eps  # outputs have a deviation of about 1
    finite = extreme(model).to(dtype)(image.to(dtype))
    assert all(x.isfinite().all() for x in finite)


@torch.no_grad()
def test_clamped_scales_are_as_exact_as_float32_allows() -> None:
    """Logits of 116 cost 7 bits: the official arithmetic in float32 is no nearer to the one in float64."""
    model = make(arch={**SMALL, "extra_norm_period": None}).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("logit_scale"):
            parameter.uniform_(3.0, 6.0)
    image = torch.randn(1, 3, 64, 64)
    state = model.state_dict()
    exact_state = {name: t.double() if t.is_floating_point() else t for name, t in state.items()}
    exact = reference.network(exact_state, image.double(), model.window_sizes, model.window_sizes)
    official = reference.network(state, image, model.window_sizes, model.window_sizes)
    for actual, single, double in zip(model(image), official, exact, strict=True):
        deviation = (actual - double).square().mean().sqrt()
        assert deviation < 2 * (single - double).square().mean().sqrt()
        assert deviation < 1e-4


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("size", [(64, 64), (75, 50)])
@torch.no_grad()
def test_a_trace_computes_the_same(size: tuple[int, int]) -> None:
    """``torch.jit.trace`` gives sizes as tensors; the trace holds for images of the size that it was made with."""
    model = reference.randomize_(SwinTransformerV2(arch=SMALL, window_size=4)).eval()
    traced = torch.jit.trace(model, torch.randn(1, 3, *size), check_trace=False)
    image = torch.randn(2, 3, *size)[:1]
    torch.testing.assert_close(traced(image), model(image), rtol=0, atol=0)
