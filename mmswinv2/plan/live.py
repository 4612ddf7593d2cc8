"""Follows which tensors of a training step live at the same time, real ones or those of torch's fake mode."""

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from ..upstream import is_cast

Inner = Mapping[Any, Callable[..., int]]


class Moment(NamedTuple):
    """What lives at one time of a step, in bytes, besides what stood before it.

    Attributes:
        gradients: Of parameters.
        casts: Copies of parameters in lower precision, which autocast makes.
        activations: All else: what the backward pass needs, and temporary results.
    """

    gradients: int
    casts: int
    activations: int


class LiveMemory(TorchDispatchMode):
    """While it is entered, counts the bytes of all tensors that come into being, until they go.

    A tensor counts by its storage, so views add nothing. Rounding and gaps of an allocator are not seen, nor is what a
    kernel takes for itself; operators that are known to take much are handed over as ``inner``.

    Args:
        model: Its parameters and buffers stood before. Gradients of parameters are told apart.
        inputs: What else stood before.
        inner: By operator: what it takes for itself, in bytes, as a function of its arguments.

    Attributes:
        live: Bytes that live now.
        gradients: Bytes of these that are gradients of parameters.
    """

    def __init__(self, model: nn.Module, inputs: Iterable[Tensor] = (), inner: Inner | None = None) -> None:
        super().__init__()
        self.live = self.gradients = self.casts = 0
        self._inner = inner or {}
        self._known = WeakIdKeyDictionary()
        self._weights = WeakIdKeyDictionary()
        self._peaks: dict[int, Moment] = {}  # by bytes of gradients
        for tensor in (*model.parameters(), *model.buffers(), *inputs):
            self._known[tensor.untyped_storage()] = True
        for parameter in model.parameters():
            self._weights[parameter.untyped_storage()] = True
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._count_gradient)

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs an operator and notes what it made."""
        result = func(*args, **(kwargs or {}))
        cast = is_cast(func) and args[0].untyped_storage() in self._weights
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor, cast)
        self._note(self._inner[func](*args) if func in self._inner else 0)
        return result

    @property
    def now(self) -> Moment:
        """What lives now."""
        return Moment(self.gradients, self.casts, self.live - self.gradients - self.casts)

    @property
    def moments(self) -> list[Moment]:
        """For each amount of gradients that there was, the greatest of all else beside it."""
        return list(self._peaks.values())

    @property
    def peak(self) -> int:
        """The greatest number of bytes that lived at the same time."""
        return max((sum(moment) for moment in self._peaks.values()), default=0)

    def _add(self, tensor: Tensor, cast: bool) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known[storage] = True
        self.live += storage.nbytes()
        self.casts += cast * storage.nbytes()
        weakref.finalize(storage, self._drop, storage.nbytes(), cast)

    def _drop(self, size: int, cast: bool) -> None:
        self.live -= size
        self.casts -= cast * size

    def _count_gradient(self, parameter: Tensor) -> None:
        self.gradients += parameter.nbytes

    def _note(self, more: int) -> None:
        now = self.now._replace(activations=self.now.activations + more)
        known = self._peaks.get(self.gradients)
        if known is None or sum(now) > sum(known):
            self._peaks[self.gradients] = now
