"""A step without its arithmetic: what multiplies matrices gives noise of the right shape, and costs no time."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

NOISE = 0.01  # small, as the outputs of heads that have learnt nothing


class WithoutProducts(TorchDispatchMode):
    """While it is entered, convolutions and matrix products and their gradients return noise."""

    PRODUCTS = (
        torch.ops.aten.convolution.default,
        torch.ops.aten.convolution_backward.default,
        torch.ops.aten.mm.default,
        torch.ops.aten.addmm.default,
        torch.ops.aten.bmm.default,
        torch.ops.aten.baddbmm.default,
    )

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs an operator, or makes up its result."""
        if func not in self.PRODUCTS:
            return func(*args, **(kwargs or {}))
        shapes = func(*tree_map_only(Tensor, lambda tensor: tensor.to("meta"), args), **(kwargs or {}))
        return tree_map_only(Tensor, _noise, shapes)


def _noise(shape: Tensor) -> Tensor:
    return torch.empty_like(shape, device="cpu").uniform_(-NOISE, NOISE)
