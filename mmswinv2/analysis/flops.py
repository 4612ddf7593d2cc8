"""Counts the multiply-adds of a model for one image, by torch's own counter.

One FLOP is one multiply-add, as in the paper. Counted is what multiplies matrices: linear layers, convolutions, and
both products of attention. Norms, activations and softmax are not. The model runs on torch's ``meta`` device: its
tensors have shapes and no values, so that a model and an image of any size take neither memory nor time.

The official release counts by formulas of its own. They differ in four points, which come to less than 1 % of its
published figures: they count norms and the classifier; they leave out the network of the position bias; in a
shifted block they count whole windows, as if nothing were masked; and they know only maps that windows divide.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..layers import POSITION_BIASES

LINEAR = {"aten.mm", "aten.addmm"}  # a product with weights; attention multiplies activations with each other

# By module name -> by torch operation -> multiply-adds; the name of the model itself is empty.
Counts = Mapping[str, Mapping[str, int]]


class Cost(NamedTuple):
    """What a part of a model costs.

    Attributes:
        flops: Multiply-adds for one image.
        parameters: Number of parameters.
    """

    flops: int
    parameters: int


def count_flops(model: nn.Module, *inputs: torch.Tensor) -> Counts:
    """Counts the multiply-adds of ``model(*inputs)`` in evaluation mode.

    Args:
        model: Its parameters and buffers are on the ``meta`` device. On a CPU the counter does not see the fused
            kernel of attention.
        inputs: Tensors of the same device, of a batch of one image.

    Returns:
        For each module that multiplies, its members included.
    """
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs)
    root = type(model).__name__
    return {
        # torch counts a multiplication and an addition as two
        name.removeprefix(root).removeprefix("."): {str(operation): flops // 2 for operation, flops in found.items()}
        for name, found in counter.get_flop_counts().items()
        if name == root or name.startswith(f"{root}.")
    }


def total(counts: Counts, name: str = "") -> int:
    """Returns the multiply-adds of the module ``name``, 0 for one that multiplies nothing."""
    if name in counts:
        return sum(counts[name].values())
    # The counter does not notice a module of which another method than forward is called. It notices its members.
    below = [other for other in counts if other.startswith(f"{name}.")]
    highest = [one for one in below if not any(one.startswith(f"{other}.") for other in below)]
    return sum(total(counts, one) for one in highest)


def child_costs(model: nn.Module, counts: Counts) -> dict[str, Cost]:
    """Returns the costs of a model's direct members, such as ``backbone``, ``neck`` and heads.

    ``other`` is what the model does or has itself. The sum of all is the whole model.
    """
    costs = {name: Cost(total(counts, name), _size(module)) for name, module in model.named_children()}
    costs["other"] = Cost(
        total(counts) - sum(cost.flops for cost in costs.values()),
        _size(model) - sum(cost.parameters for cost in costs.values()),
    )
    return {name: cost for name, cost in costs.items() if any(cost)}


def backbone_costs(backbone: nn.Module, counts: Counts, name: str = "") -> dict[str, Cost]:
    """Splits a SwinV2 backbone into the parts of which the paper speaks.

    The network of the position bias counts for one forward pass. In inference its result is kept for the next image.

    Args:
        backbone: A :class:`mmswinv2.SwinTransformerV2`.
        counts: Of :func:`count_flops`.
        name: Name of the backbone in the model that was counted; empty: it is the model.

    Returns:
        A cost for each part. Their sum is the whole backbone.
    """
    flops = dict.fromkeys(("patch embedding", "q, k, v and projection", "attention", "position bias network"), 0)
    flops |= dict.fromkeys(("MLP", "patch merging", "norms"), 0)
    parameters = dict.fromkeys(flops, 0)
    for part, flops_there, parameters_there in _pieces(backbone, counts, f"{name}." if name else ""):
        flops[part] += flops_there
        parameters[part] += parameters_there
    return {part: Cost(flops[part], parameters[part]) for part in flops}


def _pieces(backbone: nn.Module, counts: Counts, prefix: str) -> Iterator[tuple[str, int, int]]:
    """Yields (part, multiply-adds, parameters) of every module that is one part, or is made of them."""
    for name, module in backbone.named_modules():
        last = name.rpartition(".")[2]
        if last in _PARTS:
            yield _PARTS[last], total(counts, prefix + name), _size(module)
        elif last == "attn":
            yield from _attention_pieces(module, counts, prefix + name)
        elif isinstance(module, nn.LayerNorm) and not name.startswith("patch_embed") and "downsample" not in name:
            yield "norms", 0, _size(module)


_PARTS = {
    "patch_embed": "patch embedding",
    **dict.fromkeys(POSITION_BIASES.values(), "position bias network"),
    "mlp": "MLP",
    "downsample": "patch merging",
}


def _attention_pieces(module: Any, counts: Counts, name: str) -> Iterator[tuple[str, int, int]]:
    """The same of a :class:`mmswinv2.layers.WindowAttention`, without its bias network."""
    bias_network = total(counts, f"{name}.{module.bias_name}")
    linear = sum(flops for operation, flops in counts.get(name, {}).items() if operation in LINEAR)
    scales = module.logit_scale.numel()
    yield "q, k, v and projection", linear - bias_network, _size(module) - _size(module.position_bias) - scales
    yield "attention", total(counts, name) - linear, scales


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
