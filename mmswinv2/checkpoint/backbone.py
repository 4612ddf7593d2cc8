"""The backbone that a checkpoint holds: where it lies, its tensors under this project's names, its size."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mode
from typing import Any

from torch import Tensor

from ..arch import ARCHS, Arch
from ..errors import CheckpointError, name_some
from .forms import FORMS, Form, StateDict
from .sources import read_checkpoint
from .windows import WindowEvidence, find_windows

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


def model_weights(content: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a whole model in a checkpoint of MMEngine, under the names that they have in the model.

    Args:
        content: What the file holds; the weights stand under ``state_dict``, or it is the weights alone.

    Returns:
        Tensors by name, without the prefix that DistributedDataParallel puts before all of them.
    """
    weights = content.get("state_dict", content)
    return {name.removeprefix("module."): tensor for name, tensor in weights.items()}


BLOCK = re.compile(r"layers\.(\d+)\.blocks\.(\d+)\.(.+)")


def infer_arch(state: Mapping[str, Tensor]) -> Arch:
    """Size of the backbone whose tensors, under this project's names, are ``state``.

    What most blocks of a stage say holds, so that one tensor missing or mis-shaped does not mislead.

    Raises:
        CheckpointError: The blocks of a stage are missing, or no size can be read off them.
    """
    blocks, dims, heads, extra_norms = defaultdict(set), defaultdict(list), defaultdict(list), set()
    for name, tensor in state.items():
        match = BLOCK.fullmatch(name)
        if match is None:
            continue
        stage, block, rest = int(match[1]), int(match[2]), match[3]
        blocks[stage].add(block)
        if rest == "norm1.weight":
            dims[stage].append(tensor.numel())
        elif rest == "attn.logit_scale":
            heads[stage].append(tensor.numel())
        elif rest == "enorm.weight":
            extra_norms.add(block)
    stages = range(max(blocks, default=-1) + 1)
    missing = [f"layers.{stage}.blocks.*.attn.logit_scale" for stage in stages if not heads[stage]]
    if not dims[0]:
        missing.append("layers.0.blocks.*.norm1.weight")
    if missing:
        raise CheckpointError(f"no size can be read off it, for want of {', '.join(missing)}")
    return Arch(
        embed_dims=mode(dims[0]),
        depths=tuple(max(blocks[stage]) + 1 for stage in stages),
        num_heads=tuple(mode(heads[stage]) for stage in stages),
        extra_norm_period=min(extra_norms) + 1 if extra_norms else None,
    )


def describe_arch(arch: Arch) -> str:
    """The ``arch`` setting of a config that builds ``arch``."""
    for name, named in ARCHS.items():
        if arch == named:
            return repr(name)
    settings = {**arch._asdict(), "depths": list(arch.depths), "num_heads": list(arch.num_heads)}
    return f"dict({', '.join(f'{key}={value}' for key, value in settings.items() if value is not None)})"


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
        raise CheckpointError(f"no SwinV2 backbone{where}, but {_tensors(names)}")
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


def _tensors(names: Mapping[str, Tensor]) -> str:
    if not names:
        return "no tensors at all"
    return f"{len(names)} tensors: {name_some(names, 3)}"


@dataclass(frozen=True)
class BackboneCheckpoint:
    """The backbone in a checkpoint.

    Attributes:
        source: The checkpoint as the user named it.
        place: Where in the file the weights are, such as ``model``; empty for a bare state dict.
        weights: Its tensors under this project's names, and the form that they came in.
        arch: Its size.
        windows: Windows it was trained with, and what told them; None if nothing does.
    """

    source: str
    place: str
    weights: NativeWeights
    arch: Arch
    windows: WindowEvidence | None


def open_checkpoint(source: str, prefix: str | None = None, map_location: str = "cpu") -> BackboneCheckpoint:
    """Reads a checkpoint of any form and recognises the backbone in it.

    Args:
        source: Path, URL or ``hf-hub:OWNER/NAME``; see :func:`read_checkpoint`.
        prefix: What precedes the backbone's names, for a file with several backbones.
        map_location: Where the file is read to.

    Raises:
        CheckpointError: The file cannot be read or is of no form of SwinV2.
    """
    file = read_checkpoint(source, map_location)
    try:
        state_dict, place = find_state_dict(file.content)
        weights = to_native(state_dict, prefix)
        meta = file.content.get("meta")
        metadata = {**file.metadata, **(meta if isinstance(meta, Mapping) else {})}
        arch, windows = infer_arch(weights.state), find_windows(weights, file.names, metadata, file.config)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error
    return BackboneCheckpoint(source, place, weights, arch, windows)
