"""The backbone that a checkpoint holds: where it lies, its tensors under this project's names, its size."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mode
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Parameter

from ..arch import ARCHS, Arch
from ..errors import CheckpointError, list_faults, name_some
from .forms import FORMS, NUMBER, PRETRAINED_WINDOWS, Form, StateDict
from .sources import read_checkpoint
from .windows import WindowEvidence, find_windows

# In order of preference: averaged weights first, as timm does. MMEngine puts the averaged ones in `state_dict` itself
# and the others in `ema_state_dict`, which is therefore last.
CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "student", "ema_state_dict")


MAX_PLACES = 8  # of a container in a container


def find_state_dict(content: Mapping[str, Any]) -> tuple[dict[str, Tensor], str]:
    """The weights in what a checkpoint file holds.

    Args:
        content: A state dict, or a dict with one at a usual place, such as ``state_dict`` or ``model``.

    Returns:
        Tensors by name, see :func:`plain_tensors`, and the place, such as ``model.student``; empty for a bare state
        dict.

    Raises:
        CheckpointError: There is no state dict, or what is in it cannot be a tensor of a model.
    """
    places: list[str] = []
    while place := next((name for name in CONTAINERS if _is_filled(content.get(name))), None):
        places.append(place)
        content = content[place]
        if len(places) > MAX_PLACES:
            raise CheckpointError(f"no weights: {'.'.join(places)} is a dict in a dict, and so on")
    tensors = plain_tensors(content)
    if not tensors:
        raise CheckpointError(f"no weights: it holds {name_some(map(_shown, content)) or 'nothing'}")
    return tensors, ".".join(places)


def _is_filled(value: object) -> bool:
    return isinstance(value, Mapping) and len(value) > 0


MAX_NAME = 300


def plain_tensors(entries: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The tensors of a state dict. Nothing else in the package looks at what kind of tensor one is.

    Args:
        entries: Tensors by name; other values are passed over.

    Returns:
        Dense tensors of any shape and dtype, each with all its values in memory.

    Raises:
        CheckpointError: A name is no printable string, or a tensor is of another kind.
    """
    faults: dict[str, list[str]] = {}
    for name, value in entries.items():
        if isinstance(value, Tensor) and (fault := _name_fault(name) or _tensor_fault(value)):
            faults.setdefault(fault, []).append(_shown(name))
    if faults:
        lines = list_faults({f"weights cannot be {fault}": names for fault, names in faults.items()})
        raise CheckpointError("\n  ".join(["no state dict of a model:", *lines]))
    return {name: value for name, value in entries.items() if isinstance(value, Tensor)}


def _name_fault(name: object) -> str:
    if isinstance(name, str) and name.isprintable() and len(name) <= MAX_NAME:
        return ""
    return f"under a name that is no printable string of at most {MAX_NAME} characters"


def _tensor_fault(tensor: Tensor) -> str:
    if type(tensor) is DTensor:  # of load_sharded, no file that is unpickled makes one
        return _tensor_fault(tensor.to_local())
    if type(tensor) not in (Tensor, Parameter):
        return f"of the class {type(tensor).__name__}"
    if tensor.is_meta:
        return "without values (on the device meta)"
    if tensor.is_nested or tensor.layout is not torch.strided:
        return f"{'nested' if tensor.is_nested else 'sparse'}, they are dense"
    if tensor.is_quantized:
        return f"quantised ({tensor.dtype})"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "larger than the data that they have in the file"
    return ""


def _shown(name: object) -> str:
    """A key as a message can show it."""
    return ascii(name[:60])[1:-1] if isinstance(name, str) else f"a key of type {type(name).__name__}"


def model_weights(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a whole model in a checkpoint of MMEngine, under the names that they have in the model.

    Args:
        content: What the file holds; the weights stand under ``state_dict``, or it is the weights alone.

    Returns:
        Tensors by name, see :func:`plain_tensors`, without the prefix that DistributedDataParallel puts before all of
        them.

    Raises:
        CheckpointError: What is in it cannot be a tensor of a model.
    """
    weights = content.get("state_dict", content)
    if not isinstance(weights, Mapping):
        raise CheckpointError(f"no weights: its state_dict is a {type(weights).__name__}")
    return {name.removeprefix("module."): tensor for name, tensor in plain_tensors(weights).items()}


BLOCK = re.compile(rf"layers\.({NUMBER})\.blocks\.({NUMBER})\.(.+)")
MAX_STAGES = 12  # each halves the map
MAX_CHANNELS = 2**16  # of the first stage; giant, the largest that was published, has 512


def infer_arch(state: Mapping[str, Tensor]) -> Arch:
    """Size of the backbone whose tensors, under this project's names, are ``state``.

    What most blocks of a stage say holds, so that one tensor missing or mis-shaped does not mislead.

    Raises:
        CheckpointError: The blocks of a stage are missing, no size can be read off them, or no model has that size.
    """
    blocks, dims, heads, extra_norms = defaultdict(list), defaultdict(list), defaultdict(list), set()
    for name, tensor in state.items():
        match = BLOCK.fullmatch(name)
        if match is None:
            continue
        stage, block, rest = int(match[1]), int(match[2]), match[3]
        blocks[stage].append(block)
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
        raise CheckpointError(f"no size can be read off it, for want of {name_some(missing)}")
    arch = Arch(
        embed_dims=mode(dims[0]),
        depths=tuple(max(blocks[stage]) + 1 for stage in stages),
        num_heads=tuple(mode(heads[stage]) for stage in stages),
        extra_norm_period=min(extra_norms) + 1 if extra_norms else None,
    )
    has_tensors = all(depth <= len(blocks[stage]) for stage, depth in enumerate(arch.depths))
    sizes = arch.embed_dims, *arch.num_heads
    if len(stages) > MAX_STAGES or not has_tensors or not all(0 < size <= MAX_CHANNELS for size in sizes):
        raise CheckpointError(f"no model has the size that its tensors tell: {describe_arch(arch)}")
    return arch


def describe_arch(arch: Arch) -> str:
    """The ``arch`` setting of a config that builds ``arch``."""
    for name, named in ARCHS.items():
        if arch == named:
            return repr(name)
    settings = {**arch._asdict(), "depths": list(arch.depths), "num_heads": list(arch.num_heads)}
    return f"dict({', '.join(f'{key}={value}' for key, value in settings.items() if value is not None)})"


# A stage's position bias is made anew from its network, a shifted window's mask from the map.
TABLE = "relative_coords_table"
DROPPED = ("relative_position_index", TABLE, "attn_mask", "k_bias", "mask_token")
ATTENTION = re.compile(r"(?<![^.])(?:" + "|".join(form.attention for form in FORMS) + ")")
WEIGHT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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
        state_dict: Tensors by name, of a backbone or of a model that holds one; see :func:`plain_tensors`.
        prefix: What precedes the backbone's names, for a model that holds several backbones, such as a
            teacher and a student. None: found by itself.

    Raises:
        CheckpointError: There is no SwinV2 in it, or there are several, or its tensors are not of numbers that weights
            can be.
    """
    prefix = _find_prefix(state_dict, prefix)
    inside = {name.removeprefix(prefix): tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
    _refuse_v1(inside)
    form = _find_form(inside)
    _check_types({name: tensor for name, tensor in inside.items() if name.startswith(form.roots)}, prefix)
    native: StateDict = {}
    tables: dict[int, list[Tensor]] = {}
    for name, tensor in form.to_native(inside).items():
        table = re.match(rf"layers\.({NUMBER})\..*{TABLE}$", name)
        if table:
            tables.setdefault(int(table[1]), []).append(tensor)
        if not name.endswith(DROPPED):
            native[name] = tensor
    dropped = _dropped(state_dict, inside, prefix, form)
    return NativeWeights(native, form.name, prefix, tables, form.single_norm, dropped)


def _check_types(backbone: Mapping[str, Tensor], prefix: str) -> None:
    """Refuses tensors that are neither weights nor buffers that are left out."""
    wrong = [
        f"{prefix}{name} ({str(tensor.dtype).removeprefix('torch.')})"
        for name, tensor in backbone.items()
        if tensor.dtype not in WEIGHT_TYPES
        and name != PRETRAINED_WINDOWS
        and (name.endswith(TABLE) or not name.endswith(DROPPED))
    ]
    if wrong:
        raise CheckpointError(f"weights are floating-point numbers of 16, 32 or 64 bits, but not {name_some(wrong)}")


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
        choices = " or ".join(f"prefix={choice!r}" for choice in found[:8])
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
    made_anew = [name for name in inside if name.startswith(form.roots) and name.endswith(DROPPED)]
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
