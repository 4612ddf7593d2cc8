"""The linear layer by way of a convolution is the linear layer."""

import pytest
import torch
from torch import library, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mmswinv2.layers import linear
from mmswinv2.layers.linear import Linear


@pytest.mark.parametrize("tokens", [1, 7, 640])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_torch(tokens: int, bias: bool) -> None:
    layer = Linear(24, 40, bias=bias)
    assert isinstance(layer, nn.Linear) and set(layer.state_dict()) == {"weight", *(["bias"] if bias else [])}
    x = torch.randn(tokens, 24, requires_grad=True)
    leaves, weights = [x, *layer.parameters()], torch.randn(tokens, 40)
    outputs = layer(x), F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad((out * weights).sum(), leaves) for out in outputs]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(dtype: torch.dtype) -> None:
    layer, x = Linear(24, 40).to(dtype), torch.randn(9, 24, dtype=dtype)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))


def test_under_autocast_the_result_is_of_its_type() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(24, 40)(torch.randn(9, 24)).dtype == torch.bfloat16


def test_tokens_may_lie_apart_in_memory() -> None:
    layer, x = Linear(24, 40), torch.randn(24, 9).t()
    torch.testing.assert_close(layer(x), layer(x.contiguous()), atol=0, rtol=0)


@pytest.mark.parametrize("bias", [True, False])
def test_the_operator_of_compiled_graphs_is_what_torch_asks_of_it(bias: bool) -> None:
    """And counts as the linear layer does."""
    x, weight = torch.randn(9, 24, requires_grad=True), torch.randn(40, 24, requires_grad=True)
    arguments = x, weight, torch.randn(40, requires_grad=True) if bias else None
    library.opcheck(torch.ops.mmswinv2.linear.default, arguments)
    counts = []
    for function in (torch.ops.mmswinv2.linear, F.linear):
        with FlopCounterMode(display=False) as counter:
            function(*arguments).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] == 3 * 2 * 9 * 24 * 40
    torch.testing.assert_close(torch.ops.mmswinv2.linear(*arguments), linear.linear(*arguments), atol=0, rtol=0)


@pytest.mark.parametrize(("tokens", "inputs", "outputs"), [(256, 3072, 768), (256, 768, 3072), (1, 96, 288)])
def test_results_lie_in_memory_as_a_compiled_graph_expects(tokens: int, inputs: int, outputs: int) -> None:
    """oneDNN chooses a layout by size."""
    x, weight = torch.randn(tokens, inputs), torch.randn(outputs, inputs)
    out = torch.ops.mmswinv2.linear(x, weight, None)
    gradients = torch.ops.mmswinv2.linear_backward(torch.randn_like(out), x, weight)
    assert all(tensor.is_contiguous() for tensor in (out, *gradients))
