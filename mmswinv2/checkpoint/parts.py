"""Checkpoints read by processes that share a model: one reads, and each gets its part of the tensors.

A file is read once, whatever the number of processes and machines, and one process alone holds it whole. Large tensors
are scattered one at a time: of each, a process gets its share of the first dimension. Small ones and all else go to all
processes together.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.nn import Parameter

from ..errors import CheckpointError

SMALL = 2**16  # bytes of a tensor that all processes get whole
SCATTERED = torch.float64, torch.float32, torch.float16, torch.bfloat16  # by every backend
_mesh: ContextVar[DeviceMesh | None] = ContextVar("mesh", default=None)

T = TypeVar("T")


@contextmanager
def loading_parts(mesh: DeviceMesh | None) -> Iterator[None]:
    """Inside, checkpoints are read by all processes of ``mesh`` together, and each gets its part; None: by this one."""
    before = _mesh.set(mesh)
    try:
        yield
    finally:
        _mesh.reset(before)


def mesh_of_parts() -> DeviceMesh | None:
    """The processes that read checkpoints together; None: this one reads alone."""
    return _mesh.get()


def read_once(read: Callable[[], T]) -> T:
    """Lets one process read, and returns to each what was read, large tensors in parts.

    Outside :func:`loading_parts` it is what ``read`` returns.

    Args:
        read: Called in the first process, outside :func:`loading_parts`. Returns nested dicts, lists, tuples and
            dataclasses; what else there is in them can be pickled.

    Raises:
        CheckpointError: The first process could not read.
    """
    mesh = _mesh.get()
    if mesh is None:
        return read()
    large: list[Tensor] = []
    told: list[Any] = [None, None]
    if mesh.get_rank() == 0:
        try:
            with loading_parts(None):
                told[0] = _without_large(read(), large)
        except Exception as error:
            distributed.broadcast_object_list([None, str(error) or type(error).__name__])
            raise
    distributed.broadcast_object_list(told)
    content, fault = told
    if fault is not None:
        raise CheckpointError(fault)
    scattered: dict[int, DTensor] = {}

    def place(path: tuple[Any, ...], value: Any) -> Any:
        if not isinstance(value, _Large):
            return value
        if value.index not in scattered:  # the order is that in which the first process met them, so all go alike
            whole = large[value.index] if large else torch.empty(value.shape, dtype=value.dtype)
            scattered[value.index] = distribute_tensor(whole.to(mesh.device_type), mesh, [Shard(0)], src_data_rank=0)
        return scattered[value.index]

    found: T = mapped(content, place)
    return found


@dataclass(frozen=True)
class _Large:
    """Stands for a tensor that is scattered."""

    index: int
    shape: torch.Size
    dtype: torch.dtype


def _without_large(content: Any, large: list[Tensor]) -> Any:
    """A copy of a checkpoint in which large tensors are described, and appended to ``large``."""
    descriptions: dict[int, _Large] = {}  # by the tensor's id: one may be in several places

    def describe(path: tuple[Any, ...], value: Any) -> Any:
        if not _is_large(value):
            return value
        if id(value) not in descriptions:
            descriptions[id(value)] = _Large(len(large), value.shape, value.dtype)
            large.append(value.detach())
        return descriptions[id(value)]

    return mapped(content, describe)


def _is_large(value: Any) -> bool:
    """Whether a value is a tensor to be scattered; what is none of a checkpoint's usual ones goes as it is."""
    usual = (
        type(value) in (Tensor, Parameter) and value.layout is torch.strided and not (value.is_meta or value.is_nested)
    )
    if not usual or value.dtype not in SCATTERED or not value.dim() or value.nbytes < SMALL:
        return False
    return bool(value.untyped_storage().nbytes() >= value.nbytes)  # an expanded one would take memory that it has not


def mapped(value: Any, change: Callable[[tuple[Any, ...], Any], Any], path: tuple[Any, ...] = ()) -> Any:
    """A copy of nested dicts, lists, tuples and dataclasses.

    Args:
        value: What is copied.
        change: Is given the keys that lead to a value, and the value. Returns what stands in its place, or the value.
        path: Keys that lead to ``value``.
    """
    changed = change(path, value)
    if changed is not value:
        return changed
    if isinstance(value, dict):
        copied = copy.copy(value)  # with the attributes of a state dict
        for key in value:
            copied[key] = mapped(value[key], change, (*path, key))
        return copied
    if type(value) in (list, tuple):
        return type(value)(mapped(one, change, (*path, index)) for index, one in enumerate(value))
    if is_dataclass(value) and not isinstance(value, type | _Large):
        names = [field.name for field in fields(value)]
        return replace(value, **{name: mapped(getattr(value, name), change, (*path, name)) for name in names})
    return value
