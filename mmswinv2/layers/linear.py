"""A linear layer by the fastest matrix product that torch has for it.

On a CPU torch hands linear layers in float32 to MKL, and convolutions to oneDNN. A linear layer is a 1 x 1
convolution. MKL leaves the wider vector units of AMD's processors alone, and there oneDNN is faster (BENCHMARKS.md has
the times). The result is the same but for the order of sums.
"""

from typing import Any

import torch
from torch import Tensor, library, nn
from torch.nn import functional as F
from torch.utils.flop_counter import register_flop_formula

from .windows import is_exporting

HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call] # torch has no types for it


class Linear(nn.Linear):
    """``torch.nn.Linear`` for tokens (T, C), computed by :func:`linear`."""

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Maps (T, in_features) to (T, out_features), with another bias where one is given."""
        return linear(x, self.weight, self.bias if bias is None else bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + b.

    Args:
        x: Tokens (T, in_features).
        weight: W, (out_features, in_features).
        bias: b, (out_features,), or None.

    Returns:
        (T, out_features).
    """
    if is_exporting() or not _is_for_onednn(x):
        return F.linear(x, weight, bias)
    if torch.compiler.is_compiling():
        out: Tensor = _linear(x, weight, bias)
        return out
    return _convolve(x, weight, bias)


def _is_for_onednn(x: Tensor) -> bool:
    # In lower precision, which autocast chooses too, linear layers go to oneDNN as they are.
    is_single = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return HAS_ONEDNN and is_single


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _as_tokens(F.conv2d(_as_image(x.contiguous()), weight[:, :, None, None], bias))


def _as_image(x: Tensor) -> Tensor:
    """(T, C) to (1, C, 1, T) without a copy: tokens are a row of pixels, whose channels are last in memory."""
    return x.view(1, 1, x.size(0), x.size(1)).permute(0, 3, 1, 2)


def _as_tokens(image: Tensor) -> Tensor:
    # oneDNN chooses how its result lies in memory; a compiled graph has to know.
    return image.permute(0, 2, 3, 1).reshape(image.size(3), image.size(1)).contiguous()


# A compiler would choose another way for the convolution, and ask which sizes of its image are 1.
@library.custom_op("mmswinv2::linear", mutates_args=(), tags=(torch.Tag.flexible_layout,))
def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _convolve(x, weight, bias)


@_linear.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(x.size(0), weight.size(0))


@library.custom_op("mmswinv2::linear_backward", mutates_args=(), tags=(torch.Tag.flexible_layout,))
def _linear_backward(d_out: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of ``x`` and ``weight``."""
    image, kernel, d_image = _as_image(x.contiguous()), weight[:, :, None, None], _as_image(d_out.contiguous())
    # One call for both, as eager autograd has it. Those of torch.nn.grad, one each, copy into another memory layout.
    d_x, d_weight, _ = torch.ops.aten.convolution_backward(
        *(d_image, image, kernel, None),
        *((1, 1), (0, 0), (1, 1), False, (0, 0), 1),  # stride, padding, dilation, transposed, output_padding, groups
        (True, True, False),
    )
    return _as_tokens(d_x), d_weight.reshape(weight.shape).contiguous()


@_linear_backward.register_fake
def _(d_out: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    return d_out.new_empty(x.shape), d_out.new_empty(weight.shape)


def _keep_inputs(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.has_bias = inputs[2] is not None


def _gradients(ctx: Any, d_out: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    d_x, d_weight = _linear_backward(d_out, *ctx.saved_tensors)
    return d_x, d_weight, d_out.sum(0) if ctx.has_bias else None


_linear.register_autograd(_gradients, setup_context=_keep_inputs)


@register_flop_formula(torch.ops.mmswinv2.linear)
def _products(x: tuple[int, ...], weight: tuple[int, ...], *bias: object, **out: object) -> int:
    return 2 * x[0] * weight[0] * weight[1]


@register_flop_formula(torch.ops.mmswinv2.linear_backward)
def _products_backward(d_out: object, x: tuple[int, ...], weight: tuple[int, ...], **made: object) -> int:
    return 4 * x[0] * weight[0] * weight[1]
