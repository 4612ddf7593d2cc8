"""Writing a backbone in the form that another library reads."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CheckpointError
from .backbone import BackboneCheckpoint
from .forms import FORMS, NUMBER, PRETRAINED_WINDOWS, StateDict, num_stages
from .position_biases import find_position_bias
from .windows import Windows, coords_table

TARGETS = {form.name: form for form in FORMS if form.name in ("native", "official", "timm", "hf")}
WITHOUT_EXTRA_NORMS = ("timm", "hf")


@dataclass(frozen=True)
class Converted:
    """A backbone in another form.

    Attributes:
        form: Name of the form.
        state: Its tensors.
        windows: What the file says of windows beside the tensors: ``pretrained_window_sizes`` and, where it
            is known, ``window_size``, as lists of (h, w).
        left_out: Tensors, under this project's names, that the form cannot hold.
    """

    form: str
    state: StateDict
    windows: dict[str, list[list[int]]]
    left_out: tuple[str, ...]


def convert(checkpoint: BackboneCheckpoint, form: str) -> Converted:
    """Brings the backbone of a checkpoint to another form.

    Args:
        checkpoint: The checkpoint.
        form: ``native``, ``official``, ``timm`` or ``hf``.

    Raises:
        CheckpointError: An unknown form, or one without the extra norms or the position bias that the backbone has;
            nothing tells the pretrained windows.
    """
    if form not in TARGETS:
        raise CheckpointError(f"unknown form {form!r}: choose one of {', '.join(TARGETS)}")
    if checkpoint.windows is None:
        raise CheckpointError(
            f"{checkpoint.source}: nothing tells the window that it was trained with, which a converted file must "
            "say: give the file back its release's name, such as swinv2_tiny_window8_256.safetensors"
        )
    if form != "native" and find_position_bias(checkpoint.weights.state) not in (None, "log_cpb"):
        raise CheckpointError(
            f"{checkpoint.source}: its position bias is not log-CPB, and the form {form} knows no other: write it as "
            "native"
        )
    if form in WITHOUT_EXTRA_NORMS and checkpoint.arch.extra_norm_period:
        raise CheckpointError(
            f"{checkpoint.source}: its blocks have extra norms (enorm), which no model of the form {form} has: "
            "write it as native or official"
        )
    pretrained = checkpoint.windows.pretrained
    windows = {PRETRAINED_WINDOWS: [list(pair) for pair in pretrained]}
    if checkpoint.windows.trained:
        windows["window_size"] = [list(pair) for pair in checkpoint.windows.trained]
    state = {name: tensor for name, tensor in checkpoint.weights.state.items() if name != PRETRAINED_WINDOWS}
    if form == "native":
        return Converted(form, {**state, PRETRAINED_WINDOWS: torch.tensor(pretrained)}, windows, ())
    held = {name: tensor for name, tensor in state.items() if not _is_inner_norm(name, num_stages(state))}
    foreign = TARGETS[form].from_native(held)
    if form == "official":
        foreign |= _coords_tables(held, checkpoint.windows.trained or pretrained, pretrained)
    return Converted(form, foreign, windows, tuple(name for name in state if name not in held))


def check_target(form: str, path: str) -> None:
    """Refuses a path to which no file of a form can be written.

    Raises:
        CheckpointError: Another suffix than ``.pth`` or ``.safetensors``, ``.pth`` for transformers, or a
            folder that does not exist.
    """
    suffixes = (".safetensors",) if form == "hf" else (".pth", ".safetensors")
    target = Path(path)
    if target.suffix not in suffixes:
        raise CheckpointError(f"{path}: the form {form} is written to {' or '.join(suffixes)}")
    if not target.parent.is_dir():
        raise CheckpointError(f"{path}: there is no folder {target.parent}")


def save_converted(converted: Converted, path: str) -> None:
    """Writes a ``.pth`` or ``.safetensors`` file, whole or not at all.

    A ``.pth`` holds the tensors where the form's own library looks for them: ``model`` in the official form,
    else ``state_dict``. Windows go to ``meta`` or safetensors' metadata.

    Raises:
        CheckpointError: No file of the form can be written to ``path``; see :func:`check_target`.
    """
    check_target(converted.form, path)
    target = Path(path)
    unfinished = target.with_name(f"{target.name}.part")
    try:
        _write(converted, unfinished, target.suffix)
        os.replace(unfinished, target)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch raises RuntimeError where it cannot write
        unfinished.unlink(missing_ok=True)
        raise CheckpointError(f"{path} cannot be written: {error}") from error


def _write(converted: Converted, path: Path, suffix: str) -> None:
    # Copies: blocks may share a tensor, which safetensors refuse, or have a part of one, of which torch saves all.
    state = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in converted.state.items()}
    if suffix == ".safetensors":
        metadata = {"format": "pt", **{name: json.dumps(value) for name, value in converted.windows.items()}}
        save_file(state, path, metadata)
    else:
        key = "model" if converted.form == "official" else "state_dict"
        torch.save({key: state, "meta": converted.windows}, path)


def _is_inner_norm(name: str, stages: int) -> bool:
    """Whether ``name`` belongs to the norm of a level before the last, which only this project has."""
    match = re.match(rf"norm({NUMBER})\.", name)
    return match is not None and int(match[1]) < stages - 1


LOGIT_SCALE = re.compile(rf"(layers\.({NUMBER})\.blocks\.{NUMBER}\.attn\.)logit_scale")


def _coords_tables(names: StateDict, trained: Windows, pretrained: Windows) -> dict[str, Tensor]:
    """The official table of coordinates of every block, which keeps both windows."""
    tables = [coords_table(window, unit) for window, unit in zip(trained, pretrained, strict=True)]
    blocks = [match for name in names if (match := LOGIT_SCALE.fullmatch(name))]
    return {f"{match[1]}relative_coords_table": tables[int(match[2])].clone() for match in blocks}
