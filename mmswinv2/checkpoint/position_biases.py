"""Which position bias a checkpoint has: its names tell, and weights of one are never taken for those of another."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor
from torch.distributed.tensor import DTensor

from ..errors import CheckpointError
from ..layers.compared_biases import POSITION_BIASES, resize_table
from .forms import NUMBER, StateDict

MODULE = re.compile(rf"layers\.{NUMBER}\.blocks\.{NUMBER}\.attn\.({'|'.join(POSITION_BIASES.values())})\.")
TABLE = f".{POSITION_BIASES['table']}.table"


def find_position_bias(names: Iterable[str]) -> str | None:
    """Returns the ``position_bias`` of a backbone.

    Args:
        names: Names of its tensors, under this project's names.

    Returns:
        A key of :data:`POSITION_BIASES`; None where the names have none of them.

    Raises:
        CheckpointError: They have several.
    """
    modules = {match[1] for name in names if (match := MODULE.match(name))}
    kinds = [kind for kind, module in POSITION_BIASES.items() if module in modules]
    if len(kinds) > 1:
        raise CheckpointError(f"its blocks have several position biases, {' and '.join(kinds)}: no model has")
    return kinds[0] if kinds else None


def check_position_bias(names: Iterable[str], position_bias: str) -> None:
    """Refuses the weights of another position bias, whose numbers mean something else.

    Args:
        names: Names of the checkpoint's tensors.
        position_bias: The model's.

    Raises:
        CheckpointError: They have another position bias.
    """
    found = find_position_bias(names)
    if found not in (None, position_bias):
        raise CheckpointError(
            f"the checkpoint was trained with position_bias={found!r}, the config builds {position_bias!r}: set "
            f"position_bias={found!r} in the backbone's config"
        )


def fit_tables(state: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> StateDict:
    """Resizes tables of biases to the model's windows, as Swin V1 does; see :func:`resize_table`.

    Args:
        state: A checkpoint's tensors.
        model: The model's ``state_dict()``, under the same names.

    Returns:
        The checkpoint's tensors. A table that is none of the same heads stays as it is.
    """
    fitted = dict(state)
    for name, tensor in state.items():
        if name.endswith(TABLE) and name in model and _is_table(tensor, model[name]):
            table = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor  # resizing mixes the parts
            fitted[name] = resize_table(table, model[name].shape)
    return fitted


def _is_table(tensor: Tensor, target: Tensor) -> bool:
    sides, heads = tensor.shape[:-1], tensor.shape[-1:]
    return len(sides) == 2 and heads == target.shape[-1:] and all(side % 2 for side in sides)
