"""A model of which each process holds a part: ``fully_shard`` of PyTorch (FSDP2), block by block.

A block is sharded as soon as it is built. So a process holds its part of the model and one block, never the whole, and
a model that no device could hold can be built. What is outside blocks is a unit of its own.

In mixed precision the four linear layers of a block, 99 % of it, are a unit that is gathered in half precision, as
autocast would cast them. The rest of a block stays in float32: in bfloat16 a logit scale near 100 would be off by up
to 1.6. A block that is compiled is one unit in float32, and autocast casts what it takes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.module import register_module_module_registration_hook
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from ...layers import SwinV2Block
from ...layers.linear import Linear

RANDOM = {torch.ops.aten.uniform_.default, torch.ops.aten.normal_.default}
COPY = torch.ops.aten.copy_.default


def half_precision(optim_wrapper: Any) -> torch.dtype | None:
    """The type that a config's optimizer wrapper lets a training compute in, where that is mixed; else None."""
    if not isinstance(optim_wrapper, dict) or optim_wrapper.get("type") != "AmpOptimWrapper":
        return None
    chosen: str | torch.dtype | None = optim_wrapper.get("dtype")
    dtype = getattr(torch, chosen) if isinstance(chosen, str) else chosen
    half: torch.dtype = dtype or torch.get_autocast_dtype(get_device())
    return half if half.itemsize == 2 else None


@contextmanager
def sharded_blocks(mesh: DeviceMesh, half: torch.dtype | None) -> Iterator[None]:
    """Shards every block that is built meanwhile, when it takes its place in a stage.

    Args:
        mesh: All processes of the run, one dimension.
        half: The type that linear layers are gathered in; None: the parameters' own.
    """

    def shard(parent: nn.Module, name: str, module: nn.Module | None) -> None:
        if isinstance(module, SwinV2Block):
            if half is not None:
                shard_in_half(module, mesh, half)
            fully_shard(module, mesh=mesh)

    hook = register_module_module_registration_hook(shard)
    try:
        with WholeValues():
            yield
    finally:
        hook.remove()


def shard_in_half(block: SwinV2Block, mesh: DeviceMesh, half: torch.dtype) -> None:
    """Makes one unit of a block's linear layers, which is gathered in half precision and reduced in float32.

    Args:
        block: It is changed in place.
        mesh: All processes of the run.
        half: The type.
    """
    layers: list[nn.Module] = [module for module in block.modules() if isinstance(module, Linear)]
    for layer in layers:
        layer.register_forward_hook(_widen_in_evaluation)
    fully_shard(layers, mesh=mesh, mp_policy=MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32))


def _widen_in_evaluation(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    # MMEngine evaluates without autocast, so what comes next is in float32 and asks for the like.
    return output if torch.is_autocast_enabled(output.device.type) else output.float()


def compile_blocks(model: nn.Module, settings: Mapping[str, Any]) -> None:
    """Compiles the computation of each block, which is gathered before it begins.

    Args:
        model: In parts, with every block one unit: a graph would break where something is gathered within it.
        settings: Of :func:`torch.compile`.
    """
    for module in model.modules():
        if isinstance(module, SwinV2Block):
            module.forward = torch.compile(module.forward, **settings)  # type: ignore[method-assign]


class WholeValues(TorchDispatchMode):
    """Lets code that knows nothing of shards write to sharded parameters.

    Random values are drawn for the whole tensor, one at a time, and each process keeps its part. Processes whose
    generators are alike so begin with the weights that a single one would have drawn. Of a plain tensor that is copied
    into a sharded one, as from a checkpoint, each keeps its part too; a sharded one is made whole for a plain one.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        target = args[0] if args else None
        if isinstance(target, DTensor):
            if func in RANDOM:
                whole = torch.empty(target.shape, dtype=target.dtype, device=target.to_local().device)
                return self._keep_part(target, func(whole, *args[1:], **kwargs))
            if func is COPY and not isinstance(args[1], DTensor):
                return self._keep_part(target, args[1])
        elif func is COPY and isinstance(args[1], DTensor):  # a large buffer
            return func(target, args[1].full_tensor(), *args[2:], **kwargs)
        return func(*args, **kwargs)

    @staticmethod
    def _keep_part(target: DTensor, whole: Tensor) -> DTensor:
        whole = whole.to(target.to_local().device).expand(target.shape)
        part = distribute_tensor(whole, target.device_mesh, target.placements, src_data_rank=None)
        target.to_local().copy_(part.to_local())
        return target


def parts_like(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Returns an optimizer's state of which each process has its part, where the parameter has parts.

    Args:
        optimizer: Whose state it is to be.
        state: As ``optimizer.state_dict()`` gives it, its tensors whole or in parts.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    indices = [index for group in state["param_groups"] for index in group["params"]]
    of_parameter = {
        index: {name: _part_like(parameter, value) for name, value in state["state"].get(index, {}).items()}
        for index, parameter in zip(indices, parameters, strict=True)
    }
    return {**state, "state": {index: values for index, values in of_parameter.items() if values}}


def _part_like(parameter: Tensor, value: Any) -> Any:
    """The part of a value that belongs to the part of a parameter; values of another shape stay as they are."""
    if not isinstance(parameter, DTensor) or not isinstance(value, Tensor) or isinstance(value, DTensor):
        return value
    if value.shape != parameter.shape:
        return value
    return distribute_tensor(
        value.to(parameter.to_local().device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )
