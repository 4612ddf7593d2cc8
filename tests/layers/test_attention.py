"""Scaled cosine attention: the fused kernel is the paper's formula, in value, gradient and precision."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmswinv2.layers import LogCPB, WindowAttention, WindowGrid, cosine_attention, cosine_attention_plain, recompute

from .. import reference
from .maps import by_window, grid_of, in_one_window, on_map


def fused_attention(q: Tensor, k: Tensor, v: Tensor, logit_scale: Tensor, bias: Tensor) -> Tensor:
    """The fast path with the arguments and the result of the plain one."""
    qkv, grid = in_one_window(q, k, v)
    return by_window(cosine_attention(qkv, logit_scale, bias, grid), q)


@pytest.fixture
def inputs() -> SimpleNamespace:
    """q, k, v of 7 windows with 3 heads and 20 tokens, a scale for each head, and offsets for the bias."""
    q, k, v = (torch.randn(7, 3, 20, 8) * scale for scale in (3.0, 0.2, 2.0))
    return SimpleNamespace(q=q, k=k, v=v, logit_scale=torch.tensor([0.5, 2.0, 3.4]).view(3, 1, 1))


def bias_of(cpb: LogCPB) -> Tensor:
    return cpb.bias((4, 5), torch.tensor([8, 8]))


def test_attention_is_the_formula_computed_by_hand() -> None:
    """Two tokens, one head: keys along q and against it, temperature 1/2, bias 1 on the second."""
    q = torch.tensor([[3.0, 0.0], [3.0, 0.0]]).view(1, 1, 2, 2)
    k = torch.tensor([[5.0, 0.0], [-0.1, 0.0]]).view(1, 1, 2, 2)
    v = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 1, 2, 2)
    bias = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).view(1, 2, 2)
    first = 1 / (1 + math.exp(-2 + 1 - 2))  # softmax of the logits 2 and -2 + 1
    expected = torch.tensor([[first, 1 - first], [first, 1 - first]]).view(1, 1, 2, 2)
    for function in (fused_attention, cosine_attention_plain):
        actual = function(q, k, v, torch.tensor([math.log(2.0)]).view(1, 1, 1), bias)
        torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0)


def test_fused_and_plain_agree_forward_and_backward(inputs: SimpleNamespace) -> None:
    """Also in the gradients of the scale and of the meta network behind the bias."""
    cpb = reference.randomize_(LogCPB(num_heads=3))
    leaves = [tensor.requires_grad_() for tensor in (inputs.q, inputs.k, inputs.v, inputs.logit_scale)]
    leaves += list(cpb.parameters())
    weights = torch.randn_like(inputs.v)
    results = []
    for function in (fused_attention, cosine_attention_plain):
        out = function(inputs.q, inputs.k, inputs.v, inputs.logit_scale, bias_of(cpb))
        results.append([out, *torch.autograd.grad((out * weights).sum(), leaves)])
    for fused, plain in zip(*results, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(fused, plain, atol=1e-5 * max(1.0, plain.abs().max().item()), rtol=0)


@pytest.mark.parametrize("function", [fused_attention, cosine_attention_plain])
def test_scale_is_clamped_at_one_hundred(inputs: SimpleNamespace, function: Callable) -> None:
    """Above log(100) the scale has no effect and no gradient; below it has both."""
    bias = bias_of(LogCPB(3)).detach()

    def run(value: float) -> tuple[Tensor, Tensor]:
        scale = torch.full((3, 1, 1), value, requires_grad=True)
        out = function(inputs.q, inputs.k, inputs.v, scale, bias)
        return out.detach(), torch.autograd.grad(out.square().sum(), scale)[0]

    limit, _ = run(math.log(100.0))
    above, gradient = run(9.0)
    assert torch.equal(above, limit)
    assert not gradient.any()
    below, gradient = run(4.0)
    assert not torch.equal(below, limit)
    assert gradient.all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_the_logits_in_float32(inputs: SimpleNamespace, dtype: torch.dtype) -> None:
    """At the clamped scale logits reach 116, where bfloat16 is spaced by 0.5: 1e-3 holds in float32 only."""
    cpb = reference.randomize_(LogCPB(num_heads=3))
    scale = torch.full((3, 1, 1), 9.0)
    expected = cosine_attention_plain(inputs.q, inputs.k, inputs.v, scale, bias_of(cpb))
    with torch.autocast("cpu", dtype):
        fused = fused_attention(inputs.q, inputs.k, inputs.v, scale, bias_of(cpb))
        plain = cosine_attention_plain(inputs.q, inputs.k, inputs.v, scale, bias_of(cpb))
    torch.testing.assert_close(fused, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(plain, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_inputs_are_rounded_once_only(inputs: SimpleNamespace, dtype: torch.dtype) -> None:
    """The result is the float32 one in the dtype of v, whatever happens between."""
    q, k, v = (tensor.to(dtype) for tensor in (inputs.q, inputs.k, inputs.v))
    scale, bias = torch.full((3, 1, 1), 9.0), bias_of(LogCPB(3)).detach()
    exact = cosine_attention_plain(q.float(), k.float(), v.float(), scale, bias)
    for function in (fused_attention, cosine_attention_plain):
        out = function(q, k, v, scale, bias)
        assert out.dtype == dtype
        torch.testing.assert_close(out.float(), exact, atol=1e-5, rtol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("logit_scale", [math.log(10.0), math.log(100.0)])
def test_a_kernel_in_half_precision_is_nearer_than_the_released_code(
    dtype: torch.dtype, logit_scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU does, on the kernel of a CPU, in value and gradient, by the mean square of the error."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(4, 3, 64, 32).to(dtype).requires_grad_() for _ in range(3))
    scale, bias = torch.full((3, 1, 1), logit_scale), reference.randomize_(LogCPB(3)).bias((8, 8), torch.tensor([8, 8]))
    exact = cosine_attention_plain(q.double(), k.double(), v.double(), scale.double(), bias.double())
    cosine = F.normalize(q.float(), dim=-1).to(dtype) @ F.normalize(k.float(), dim=-1).to(dtype).transpose(-2, -1)
    weights = (cosine * scale.exp() + bias.to(dtype)).float().softmax(-1).to(dtype)
    monkeypatch.setattr(recompute, "_kernel_takes_half", lambda device: True)
    outputs = fused_attention(q, k, v, scale, bias), weights @ v, exact
    assert outputs[0].dtype == dtype
    gradients = [torch.autograd.grad(out.square().sum(), q, retain_graph=True)[0] for out in outputs]
    for half, released, true in (outputs, gradients):
        assert (half - true).square().mean() < (released - true).square().mean()


def test_many_windows_are_split_for_the_kernel(inputs: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA kernels take at most 65535 windows a call: 7 windows at a limit of 3 are calls of 3, 3 and 1."""
    cpb = reference.randomize_(LogCPB(num_heads=3))
    whole = fused_attention(inputs.q, inputs.k, inputs.v, inputs.logit_scale, bias_of(cpb))
    sizes = []
    kernel = F.scaled_dot_product_attention

    def spy(q: Tensor, *args: Tensor, **kwargs: object) -> Tensor:
        sizes.append(q.size(0))
        return kernel(q, *args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    assert recompute.MAX_SDPA_BATCH == 65535
    monkeypatch.setattr(recompute, "MAX_SDPA_BATCH", 3)
    split = fused_attention(inputs.q, inputs.k, inputs.v, inputs.logit_scale, bias_of(cpb))
    assert sizes == [3, 3, 1]
    torch.testing.assert_close(split, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("shift", [(0, 0), (2, 3)])
@pytest.mark.parametrize("size", [(4, 6), (9, 20), (3, 13), (1, 7), (1, 1)])
def test_module_is_the_official_window_attention(size: tuple[int, int], shift: tuple[int, int]) -> None:
    """Non-square windows on maps of any size, against pad, roll and mask in float64."""
    window, pretrained = (4, 6), (8, 12)
    module = reference.randomize_(WindowAttention(24, 3, (8, 8)))
    x = torch.randn(2, *size, 24)
    params = {name: tensor.double() for name, tensor in module.state_dict().items()}
    expected = reference.attention(x.double(), params, window, shift, pretrained)
    actual = on_map(module, x, window, shift, torch.tensor(pretrained))
    torch.testing.assert_close(actual.double(), expected, atol=1e-5, rtol=0)


def test_dropout_is_on_in_training_only() -> None:
    module = reference.randomize_(WindowAttention(24, 3, (8, 8), attn_drop_rate=0.5))
    arguments = torch.randn(1, 8, 8, 24), (4, 4), (0, 0), torch.tensor([4, 4])
    assert not torch.equal(on_map(module, *arguments), on_map(module, *arguments))
    module.eval()
    without = reference.randomize_(WindowAttention(24, 3, (8, 8)))
    without.load_state_dict(module.state_dict())
    assert torch.equal(on_map(module, *arguments), on_map(without, *arguments))


@pytest.mark.parametrize(("size", "window", "shift"), [((3, 5), (2, 3), (1, 1)), ((2, 2), (4, 4), (2, 2))])
def test_the_recomputing_backward_pass_is_the_derivative(
    size: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]
) -> None:
    """By finite differences in float64, in qkv, scale and bias, with cells of all shapes."""
    grid = WindowGrid(2, size, window, shift)
    tokens, area = 2 * size[0] * size[1], grid.fitted_window[0] * grid.fitted_window[1]
    shapes = ((tokens, 3, 2, 4), (2, 1, 1), (2, area, area))
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda *inputs: cosine_attention(*inputs, grid), leaves)


@pytest.mark.parametrize("chunk", [1, 2**10])
def test_chunks_of_the_backward_pass_add_up(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One window at a time, or several with a rest, gives the gradients of all at once; float64 tells a lost window."""
    x = torch.randn(2, 9, 11, 3 * 24, dtype=torch.float64)
    grid = grid_of(x, (4, 4), (2, 2))
    leaves = [
        x.view(-1, 3, 3, 8),
        torch.rand(3, 1, 1, dtype=torch.float64),
        torch.randn(3, 16, 16, dtype=torch.float64),
    ]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    weights = torch.randn(2 * 9 * 11, 24, dtype=torch.float64)

    def gradients() -> tuple[Tensor, ...]:
        return torch.autograd.grad((cosine_attention(*leaves, grid) * weights).sum(), leaves)

    whole = gradients()
    monkeypatch.setattr(recompute, "CHUNK", chunk)
    for one, other in zip(whole, gradients(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-9)


def test_a_vector_of_no_length_has_the_gradient_of_the_plain_path() -> None:
    """Queries and keys of padding or dead channels are zero; nothing may become NaN."""
    q, k, v = (torch.randn(2, 3, 6, 4) for _ in range(3))
    q[0, 1, 2], k[1, 0, 3] = 0.0, 0.0
    leaves = [tensor.requires_grad_() for tensor in (q, k, v)]
    scale, bias = torch.zeros(3, 1, 1), torch.zeros(3, 6, 6)
    results = [
        torch.autograd.grad(function(*leaves, scale, bias).square().sum(), leaves)
        for function in (fused_attention, cosine_attention_plain)
    ]
    for fused, plain in zip(*results, strict=True):
        assert plain.isfinite().all()
        torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)


def test_no_logits_are_kept_for_the_backward_pass() -> None:
    """What is saved grows with the tokens, not with the area of a window: at window 16 logits would be 8 times qkv."""
    saved: list[int] = []
    x = torch.randn(1, 32, 32, 3 * 32)
    qkv = x.view(-1, 3, 1, 32).requires_grad_()
    bias = torch.zeros(1, 256, 256, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor.numel()) or tensor, lambda t: t):
        cosine_attention(qkv, torch.zeros(1, 1, 1, requires_grad=True), bias, grid_of(x, (16, 16), (0, 0)))
    assert sum(saved) <= qkv.numel() + qkv.numel() // 3 + bias.numel() + 100  # qkv, output, bias and the scale


def test_a_second_derivative_is_refused() -> None:
    """Rather than a wrong one: the backward pass is written out once."""
    q = torch.randn(1, 1, 4, 4, requires_grad=True)
    out = fused_attention(q, q, q, torch.zeros(1, 1, 1), torch.zeros(1, 4, 4))
    (first,) = torch.autograd.grad(out.square().sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        first.sum().backward()


def test_initial_values_are_the_official_ones() -> None:
    """Scale 10 for every head; q and v have a bias, k has none (its parameter does not exist)."""
    module = WindowAttention(24, 3, (8, 8))
    torch.testing.assert_close(module.logit_scale.detach(), torch.full((3, 1, 1), 10.0).log())
    assert {name for name, _ in module.named_parameters()} == {
        "q_bias",
        "v_bias",
        "logit_scale",
        "qkv.weight",
        "cpb_mlp.0.weight",
        "cpb_mlp.0.bias",
        "cpb_mlp.2.weight",
        "proj.weight",
        "proj.bias",
    }
