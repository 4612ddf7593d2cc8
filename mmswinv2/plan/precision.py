"""Mixed precision of a GPU, kept on a CPU, where a plan is made."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

# What CUDA's autocast computes in float32 and the CPU's does not, as far as these models use it
# (docs.pytorch.org/docs/stable/amp.html, "CUDA Ops that can autocast to float32").
FLOAT32 = {
    *(F.softmax, F.log_softmax, torch.softmax, torch.log_softmax),
    *(Tensor.softmax, Tensor.log_softmax, Tensor.sum, Tensor.pow, Tensor.exp, Tensor.log, Tensor.norm),
    *(torch.sum, torch.pow, torch.exp, torch.log, torch.norm, torch.cumsum),
    *(F.binary_cross_entropy_with_logits, F.cross_entropy, F.nll_loss, F.l1_loss, F.smooth_l1_loss, F.mse_loss),
}


class Precision(NamedTuple):
    """In which types a step computes.

    Attributes:
        half: Whether the config trains in mixed precision; float16 and bfloat16 take the same memory.
        like_gpu: Whether autocast decides as on a GPU. False: as on a CPU, to compare a plan with a step there.
    """

    half: bool
    like_gpu: bool = True

    @property
    def tokens(self) -> torch.dtype:
        """The type of a norm's result, which the first block takes."""
        return torch.float16 if self.half and not self.like_gpu else torch.float32

    @property
    def products(self) -> torch.dtype:
        """The type of queries, keys and values."""
        return torch.float16 if self.half else torch.float32

    def autocast(self) -> AbstractContextManager[object]:
        """A context for the forward pass."""
        return torch.autocast("cpu", dtype=torch.float16, enabled=self.half)

    def functions(self) -> AbstractContextManager[object]:
        """A context for the forward pass, in which functions take the types that they take on a GPU."""
        return GpuFunctions() if self.half and self.like_gpu else nullcontext()

    def prepare(self, model: nn.Module) -> None:
        """Lets the norms of a model take the types that they take on a GPU.

        By hooks, which hold in the backward pass too, where ``with_cp`` computes blocks anew.
        """
        for module in model.modules():
            if self.half and self.like_gpu and isinstance(module, nn.LayerNorm | nn.GroupNorm):
                module.register_forward_pre_hook(lambda _, inputs: tuple(_widened(value) for value in inputs))


class GpuFunctions(TorchFunctionMode):
    """Makes autocast on a CPU compute in float32 what it would compute so on a GPU."""

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls a function, with its tensors in float32 where CUDA's autocast would have them so."""
        if func in FLOAT32 and torch.is_autocast_enabled("cpu"):
            args = tuple(_widened(value) for value in args)
            kwargs = {name: _widened(value) for name, value in (kwargs or {}).items()}
        return func(*args, **(kwargs or {}))


def _widened(value: Any) -> Any:
    is_half = isinstance(value, Tensor) and value.dtype == torch.float16
    return value.float() if is_half else value
