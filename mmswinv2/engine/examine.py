"""Looks at what every layer of a model makes of a batch: which is the first whose output is not finite."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


@dataclass
class LayerOutput:
    """What one call of a layer returned.

    Attributes:
        name: Of the layer in the model; empty: the model itself.
        type: Its class.
        largest: Greatest absolute value among the finite ones.
        not_finite: How many values are infinite or no numbers.
        values: How many values there are.
        input_finite: Whether all that the layer was given is finite.
    """

    name: str
    type: str
    largest: float
    not_finite: int
    values: int
    input_finite: bool


@dataclass
class Examination:
    """What a forward pass of a batch gave.

    Attributes:
        losses: By name, with their sum as ``loss``.
        layers: In the order in which the layers were done, so that parts come before the whole.
    """

    losses: dict[str, float]
    layers: list[LayerOutput]

    @property
    def culprit(self) -> LayerOutput | None:
        """The first layer whose output is not finite."""
        return next((layer for layer in self.layers if layer.not_finite), None)

    @property
    def largest(self) -> LayerOutput | None:
        """The layer with the largest finite output."""
        return max(self.layers, key=lambda layer: layer.largest, default=None)

    def as_plain(self) -> dict[str, Any]:
        """Returns what JSON can hold. Numbers that are not finite become texts, for which JSON has no other form."""
        return {
            "losses": {name: plain_number(value) for name, value in self.losses.items()},
            "culprit": self.culprit and asdict(self.culprit),
            "layers": [asdict(layer) for layer in self.layers],
        }


def plain_number(value: float) -> float | str:
    """Returns the number, or its name where it is not finite: ``nan``, ``inf``, ``-inf``."""
    return value if math.isfinite(value) else str(value)


def examine(model: Any, batch: Any) -> tuple[Examination, Tensor]:
    """Runs the forward pass of a training step and looks at every layer's output.

    It runs with gradients, because layers may take another way without.

    Args:
        model: A model of MMEngine's kind, not wrapped, in the mode of training.
        batch: What the data loader gave.

    Returns:
        The examination, and the loss, of which a gradient can be asked.
    """
    layers: list[LayerOutput] = []
    handles = [
        module.register_forward_hook(_noting(name, layers), with_kwargs=True) for name, module in model.named_modules()
    ]
    try:
        # a compiled layer would run without the hooks of what is in it
        with torch.enable_grad(), torch.compiler.set_stance("force_eager"):
            data = model.data_preprocessor(batch, True)
            outputs = model(**data, mode="loss") if isinstance(data, Mapping) else model(*data, mode="loss")
            loss, losses = model.parse_losses(outputs)
    finally:
        for handle in handles:
            handle.remove()
    return Examination({name: value.detach().item() for name, value in losses.items()}, layers), loss


def not_finite(tensors: Iterable[tuple[str, Tensor | None]]) -> list[str]:
    """Returns the names of the tensors that hold a value that is not finite, in the part of any process."""
    return [name for name, tensor in tensors if tensor is not None and not _is_finite(tensor)]


def _is_finite(tensor: Tensor) -> bool:
    finite = tensor.isfinite().all()
    return bool(finite.full_tensor() if isinstance(finite, DTensor) else finite)


def bad_parameters(model: nn.Module) -> list[str]:
    """Returns the names of the parameters that are not finite. A buffer may hold infinity on purpose, as a mask."""
    return not_finite(model.named_parameters())


def bad_gradients(model: nn.Module) -> list[str]:
    """Returns the names of the parameters whose gradients are not finite, in the order of the model."""
    return not_finite((name, parameter.grad) for name, parameter in model.named_parameters())


def _noting(name: str, layers: list[LayerOutput]) -> Any:
    """A hook that notes a layer's output."""

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        outputs = list(_numbers(output))
        if not outputs:
            return
        layers.append(
            LayerOutput(
                name,
                type(module).__name__,
                max(float(torch.where(one.isfinite(), one, 0).abs().max()) for one in outputs),
                sum(int((~one.isfinite()).sum()) for one in outputs),
                sum(one.numel() for one in outputs),
                all(bool(one.isfinite().all()) for one in _numbers((args, kwargs))),
            )
        )

    return note


def _numbers(value: Any) -> Iterator[Tensor]:
    """The tensors of floating point in lists, tuples and dicts, those without any value left out."""
    if isinstance(value, Tensor):
        if value.is_floating_point() and value.numel():
            yield value.detach()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers(inner)
