"""What the operators of attention take for themselves while they run, which torch's fake mode does not look into."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from ..layers.recompute import attend_backward, attend_forward
from ..layers.windows import Pair, WindowGrid
from ..models import SwinTransformerV2
from .live import Inner, LiveMemory
from .precision import Precision


def attention_peaks(backbone: SwinTransformerV2, batch: int, size: Pair, precision: Precision) -> Inner:
    """Runs each stage's attention alone, without memory.

    Args:
        backbone: Tells channels, heads and windows.
        batch, size: Number of maps, and height and width of the first stage's in tokens.
        precision: In which types the step computes, and on what.

    Returns:
        For each of the two operators, what it takes beside arguments and results, in bytes.
    """
    forward, backward = {}, {}
    for stage, (heads, window) in enumerate(zip(backbone.arch.num_heads, backbone.window_sizes, strict=True)):
        grid = WindowGrid(batch, (-(-size[0] // 2**stage), -(-size[1] // 2**stage)), window, (0, 0))
        shape = batch * grid.size[0] * grid.size[1], 3, heads, backbone.arch.stage_dims[stage] // heads
        with FakeTensorMode():
            forward[shape] = _own_peak(_forward, shape, grid, precision, "cpu")
        if precision.like_gpu:  # on meta the backward pass takes as many logits at a time as on a GPU
            backward[shape] = _own_peak(_backward, shape, grid, precision, "meta")
        else:
            with FakeTensorMode():
                backward[shape] = _own_peak(_backward, shape, grid, precision, "cpu")
    return {
        torch.ops.mmswinv2.attend.default: lambda qkv, *_: forward[tuple(qkv.shape)],
        torch.ops.mmswinv2.attend_backward.default: lambda d_out, out, qkv, *_: backward[tuple(qkv.shape)],
    }


Operator = Callable[[Tensor, Tensor, Tensor, WindowGrid], object]


def _forward(qkv: Tensor, scale: Tensor, bias: Tensor, grid: WindowGrid) -> object:
    return attend_forward(qkv, scale, bias, grid.cells, grid.fitted_window)


def _backward(qkv: Tensor, scale: Tensor, bias: Tensor, grid: WindowGrid) -> object:
    out = qkv[:, 0].flatten(1)  # stands for the result and its gradient, whose shape it has
    return attend_backward(out, out, qkv, scale, bias, grid.numbers, grid.fitted_window)


def _own_peak(operator: Operator, shape: tuple[int, ...], grid: WindowGrid, precision: Precision, device: str) -> int:
    tokens = grid.fitted_window[0] * grid.fitted_window[1]
    qkv = torch.empty(shape, dtype=precision.products, device=device)
    scale, bias = torch.empty(shape[2], device=device), torch.empty(shape[2], tokens, tokens, device=device)
    given = nn.ParameterList(nn.Parameter(tensor, requires_grad=False) for tensor in (qkv, scale, bias))
    with torch.no_grad(), LiveMemory(given) as memory:
        results = operator(qkv, scale, bias, grid)
    return memory.peak - sum(result.nbytes for result in tree_leaves(results))
