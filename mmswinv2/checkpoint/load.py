"""Loading a checkpoint of any form into the backbone: compare the tensors, load them, say what was done.

No share of matched tensors can tell whether a checkpoint fits: the position-bias networks, scales and biases together
are 0.4 % of SwinV2-T, and a model that lacks them trains, badly.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import CheckpointError, list_faults, name_some
from .backbone import WEIGHT_TYPES, BackboneCheckpoint, describe_arch, infer_arch, open_checkpoint
from .forms import PRETRAINED_WINDOWS, StateDict, num_stages
from .parts import read_once
from .position_biases import check_position_bias, find_position_bias, fit_tables
from .windows import Windows

# Only this project's files have a norm for every level; those of levels that a model does not return are not its own.
OUTPUT_NORM = re.compile(r"norm\d+\.(weight|bias)")


@dataclass(frozen=True)
class Match:
    """What of a checkpoint goes into a model.

    Attributes:
        state: Tensors to load, all of them the model's; tables of position biases have the model's size.
        expected_missing: Output norms that the checkpoint does not have; they keep their initial values.
        missing: Other tensors of the model that it does not have.
        unused: Output norms of levels that the model does not return.
    """

    state: StateDict
    expected_missing: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def match_state(
    state: Mapping[str, Tensor], model: Mapping[str, Tensor], allow_partial: bool = False, final_norm: bool = False
) -> Match:
    """Compares the tensors of a checkpoint, under this project's names, with a model's.

    Args:
        state: The checkpoint's tensors.
        model: The model's ``state_dict()``.
        allow_partial: Whether other tensors than output norms may be missing.
        final_norm: Whether the norm after the last stage must be there. Most forms always have it.

    Raises:
        CheckpointError: Tensors are missing, mis-shaped, of another type, not finite, or belong to no such model.
    """
    state = fit_tables(state, model)
    ours = {name for name in model if name != PRETRAINED_WINDOWS}
    given = {name for name in state if name != PRETRAINED_WINDOWS}
    absent, extra = sorted(ours - given), sorted(given - ours)
    unused = tuple(name for name in extra if OUTPUT_NORM.fullmatch(name))
    required = f"norm{num_stages(model) - 1}." if final_norm else None
    missing = tuple(
        name for name in absent if not OUTPUT_NORM.fullmatch(name) or (required and name.startswith(required))
    )
    common = sorted(ours & given)
    shaped = [name for name in common if state[name].shape == model[name].shape]
    typed = [name for name in shaped if _fits_type(state[name], model[name])]
    faults = {
        "not in the checkpoint": () if allow_partial else missing,
        "of another shape": [_shapes(name, state, model) for name in common if name not in shaped],
        "of another type": [f"{name} ({state[name].dtype})" for name in shaped if name not in typed],
        "not in the model": [name for name in extra if name not in unused],
        "with values that are not finite": [name for name in typed if not torch.isfinite(state[name]).all()],
    }
    if any(faults.values()):
        lines = ["its tensors do not fit the model:", *list_faults(faults), *_advice(state, model, missing)]
        raise CheckpointError("\n  ".join(lines))
    return Match(
        {name: state[name] for name in common},
        tuple(name for name in absent if name not in missing),
        missing,
        unused,
    )


def _fits_type(tensor: Tensor, target: Tensor) -> bool:
    """Whether a tensor can be copied to a model's without a change of meaning; precision may differ."""
    if target.is_floating_point():
        return tensor.dtype in WEIGHT_TYPES
    return not tensor.is_floating_point() and not tensor.is_complex()


def _advice(state: Mapping[str, Tensor], model: Mapping[str, Tensor], missing: tuple[str, ...]) -> list[str]:
    try:
        theirs, ours = infer_arch(state), infer_arch(model)
    except CheckpointError as error:  # the faults found so far say more
        return [str(error)]
    if theirs != ours:
        return [f"the config builds arch={describe_arch(ours)}, the checkpoint needs arch={describe_arch(theirs)}"]
    patches = "patch_embed.proj.weight"
    if patches in state and state[patches].shape != model[patches].shape:
        return [f"{patches} is (channels, in_channels, patch_size, patch_size): set them in the config"]
    return ["the file is damaged, or something was left out of it"] if missing else []


def _shapes(name: str, state: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> str:
    return f"{name} {tuple(state[name].shape)} for {tuple(model[name].shape)}"


NOT_TOLD = "not told"


@dataclass(frozen=True)
class LoadReport:
    """What was loaded, and what was not.

    Attributes:
        checkpoint: The checkpoint.
        match: Its tensors compared with the model's.
    """

    checkpoint: BackboneCheckpoint
    match: Match

    def __str__(self) -> str:
        rows = {
            **describe(self.checkpoint),
            "matched": f"{len(self.match.state)} tensors",
            "initial values kept": name_some(self.match.expected_missing) or "none",
            "missing": name_some(self.match.missing) or "none",
            "not used": name_some(self.match.unused) or "none",
        }
        width = max(map(len, rows)) + 2
        table = [f"  {name:<{width}}{row}" for name, row in rows.items()]
        return "\n".join([f"Backbone weights from {self.checkpoint.source}", *table])


def describe(checkpoint: BackboneCheckpoint) -> dict[str, str]:
    """What a checkpoint is, row by row."""
    weights, windows = checkpoint.weights, checkpoint.windows
    place = ".".join(part for part in (checkpoint.place, weights.prefix.rstrip(".")) if part)
    return {
        "form": weights.form + (f", under {place}" if place else ""),
        "arch": describe_arch(checkpoint.arch),
        "position bias": find_position_bias(weights.state) or NOT_TOLD,
        "window": format_windows(windows.trained) if windows and windows.trained else NOT_TOLD,
        "pretrained window": f"{format_windows(windows.pretrained)}, told by {windows.source}" if windows else NOT_TOLD,
        "left out": _summary(weights.dropped) or "nothing",
    }


def format_windows(windows: Windows) -> str:
    """``8, 8, 8, 8``; windows that are not square as ``8x4``."""
    return ", ".join(str(h) if h == w else f"{h}x{w}" for h, w in windows)


def _summary(names: Iterable[str]) -> str:
    """Names by kind, with counts: ``head (2), attn_mask (12)``."""
    kinds = Counter(_kind(*name.rpartition(".")[::2]) for name in names)
    return ", ".join(f"{kind} ({count})" for kind, count in kinds.items())


def _kind(module: str, tensor: str) -> str:
    return module.split(".")[0] if tensor in ("weight", "bias") else tensor


def load_pretrained(
    backbone: nn.Module, source: str, prefix: str | None = None, map_location: str = "cpu", allow_partial: bool = False
) -> LoadReport:
    """Loads a checkpoint of any form into a :class:`~mmswinv2.SwinTransformerV2` and logs a report.

    Args:
        backbone: The model.
        source: Path, URL or ``hf-hub:OWNER/NAME``; see :func:`read_checkpoint`.
        prefix: What precedes the backbone's names, for a file with several backbones.
        map_location: Where the file is read to.
        allow_partial: Warn of missing tensors instead of refusing them.

    Raises:
        CheckpointError: The file cannot be read, is of no form of SwinV2 or of another arch; tensors are
            missing, mis-shaped or not finite; nothing tells the pretrained windows, or the config
            contradicts them.
    """

    def read() -> tuple[LoadReport, StateDict]:
        checkpoint = open_checkpoint(source, prefix, map_location)
        with _naming(source):
            return _match(backbone, checkpoint, allow_partial)

    report, windows = read_once(read)
    with _naming(source):
        backbone.load_state_dict({**report.match.state, **windows}, strict=False)
    print_log(str(report), logger="current")
    if report.match.missing:
        print_log(f"{source} lacks {name_some(report.match.missing)}", logger="current", level=logging.WARNING)
    return report


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Puts the file's name before what is wrong with it."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{source}: {error}") from error


def _match(backbone: nn.Module, checkpoint: BackboneCheckpoint, allow_partial: bool) -> tuple[LoadReport, StateDict]:
    """Compares a checkpoint with the model; returns what was found, and the pretrained windows to load."""
    weights = checkpoint.weights
    check_position_bias(weights.state, str(backbone.position_bias))
    match = match_state(weights.state, backbone.state_dict(), allow_partial, weights.single_norm)
    if checkpoint.windows is not None:
        windows = {PRETRAINED_WINDOWS: torch.tensor(checkpoint.windows.pretrained)}
    elif backbone.pretrained_windows_are_explicit:
        windows = {}
    else:
        raise CheckpointError(
            "nothing tells the window that it was trained with, and a wrong one gives a wrong position bias without an "
            "error: set pretrained_window_sizes in the backbone's config, for window 12 at 192 px to (12, 12, 12, 6)"
        )
    return LoadReport(checkpoint, match), windows
