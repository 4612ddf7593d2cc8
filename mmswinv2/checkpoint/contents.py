"""Where in a checkpoint the weights are."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .errors import CheckpointError

# In order of preference: averaged weights first, as timm does. MMEngine puts the averaged ones in `state_dict` itself
# and the others in `ema_state_dict`, which is therefore last.
CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "student", "ema_state_dict")


def find_state_dict(content: Mapping[str, Any]) -> tuple[dict[str, Tensor], str]:
    """The weights in what a checkpoint file holds.

    Args:
        content: A state dict, or a dict with one at a usual place, such as ``state_dict`` or ``model``.

    Returns:
        Tensors by name, and the place, such as ``model.student``; empty for a bare state dict.

    Raises:
        CheckpointError: There is no state dict.
    """
    for name in CONTAINERS:
        inner = content.get(name)
        if isinstance(inner, Mapping) and inner:
            state_dict, place = find_state_dict(inner)
            return state_dict, f"{name}.{place}".rstrip(".")
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"no weights: it holds {', '.join(map(str, content)) or 'nothing'}")
    return tensors, ""
