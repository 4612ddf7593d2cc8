"""From a state dict of any form to the backbone's tensors under this project's names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from .errors import CheckpointError
from .forms import FORMS, Form, StateDict

# A stage's position bias is made anew from its network, a shifted window's mask from the map.
BUFFERS = ("relative_position_index", "relative_coords_table", "attn_mask", "k_bias")
ATTENTION = re.compile(r"(?<![^.])(?:" + "|".join(form.attention for form in FORMS) + ")")


@dataclass(frozen=True)
class NativeWeights:
    """The backbone in a checkpoint.

    Attributes:
        state: Its tensors under this project's names, those that belong to no SwinV2 included.
        form: Name of the form that they came in.
        prefix: What preceded their names.
        coords_tables: For each stage the ``relative_coords_table`` of its blocks, (1, 2h-1, 2w-1, 2), which
            tell the windows; empty where the form does not keep them.
        single_norm: Whether every file of the form has the norm after the last stage.
        dropped: Names left out: buffers that are made anew, heads, mask tokens, other modules.
    """

    state: StateDict
    form: str
    prefix: str
    coords_tables: dict[int, list[Tensor]]
    single_norm: bool
    dropped: tuple[str, ...]


def to_native(state_dict: Mapping[str, Tensor], prefix: str | None = None) -> NativeWeights:
    """Recognises the form of a state dict and remaps the backbone in it.

    Args:
        state_dict: Tensors by name, of a backbone or of a model that holds one.
        prefix: What precedes the backbone's names, for a model that holds several backbones, such as a
            teacher and a student. None: found by itself.

    Raises:
        CheckpointError: There is no SwinV2 in it, or there are several.
    """
    tensors = {name: tensor for name, tensor in state_dict.items() if isinstance(tensor, Tensor)}
    prefix = _find_prefix(tensors, prefix)
    inside = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    _refuse_v1(inside)
    form = _find_form(inside)
    native, tables = {}, {}
    for name, tensor in form.to_native(inside).items():
        table = re.match(r"layers\.(\d+)\..*relative_coords_table$", name)
        if table:
            tables.setdefault(int(table[1]), []).append(tensor)
        if not name.endswith((*BUFFERS, "mask_token")):
            native[name] = tensor
    return NativeWeights(native, form.name, prefix, tables, form.single_norm, _dropped(tensors, inside, prefix, form))


def _find_prefix(names: Mapping[str, Tensor], prefix: str | None) -> str:
    """The prefix of the one backbone below ``prefix``."""
    asked = prefix or ""
    matches = (ATTENTION.search(name, len(asked)) for name in names if name.startswith(asked))
    found = sorted({match.string[: match.start()] for match in matches if match})
    if not found:
        where = f" below {asked!r}" if asked else ""
        raise CheckpointError(f"no SwinV2 backbone{where}, but {_listed(names)}")
    if prefix in found:  # even where another backbone lies deeper
        return prefix
    if len(found) > 1:
        choices = " or ".join(f"prefix={choice!r}" for choice in found)
        raise CheckpointError(f"{len(found)} backbones: say which one with {choices} in init_cfg")
    return found[0]


def _find_form(inside: Mapping[str, Tensor]) -> Form:
    return next(
        form for form in FORMS if any(re.match(form.attention, name) for name in inside) and form.recognises(inside)
    )


def _refuse_v1(inside: Mapping[str, Tensor]) -> None:
    tables = [name for name in inside if name.endswith("relative_position_bias_table")]
    if tables:
        raise CheckpointError(
            f"a checkpoint of Swin Transformer V1: {tables[0]} is a table where V2 has a network. Its weights do not "
            "fit: take a checkpoint of V2, or V1's own backbone, type='SwinTransformer'"
        )


def _dropped(tensors: Mapping[str, Tensor], inside: Mapping[str, Tensor], prefix: str, form: Form) -> tuple[str, ...]:
    outside = [name for name in tensors if not name.startswith(prefix)]
    heads = [name for name in inside if not name.startswith(form.roots)]
    made_anew = [name for name in inside if name.startswith(form.roots) and name.endswith((*BUFFERS, "mask_token"))]
    return (*outside, *(f"{prefix}{name}" for name in (*heads, *made_anew)))


def _listed(names: Mapping[str, Tensor]) -> str:
    if not names:
        return "no tensors at all"
    first = ", ".join(list(names)[:3])
    return f"{len(names)} tensors such as {first}"
