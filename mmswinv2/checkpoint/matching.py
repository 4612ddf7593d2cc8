"""Whether the tensors of a checkpoint are those of a model, name by name.

No share of matched tensors can tell: the position-bias networks, scales and biases together are 0.4 %
of SwinV2-T, and a model that lacks them trains, badly.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .architecture import describe_arch, infer_arch
from .errors import CheckpointError
from .forms import PRETRAINED_WINDOWS, StateDict, num_stages

# Only this project's files have a norm for every level; those of levels that a model does not return are not its own.
OUTPUT_NORM = re.compile(r"norm\d+\.(weight|bias)")
LISTED = 8


@dataclass(frozen=True)
class Match:
    """What of a checkpoint goes into a model.

    Attributes:
        state: Tensors to load, all of them the model's.
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
        final_norm: Whether the norm after the last stage may not: every file of most forms has it.

    Raises:
        CheckpointError: Tensors are missing, mis-shaped, not finite, or belong to no such model.
    """
    ours = {name for name in model if name != PRETRAINED_WINDOWS}
    given = {name for name in state if name != PRETRAINED_WINDOWS}
    absent, extra = sorted(ours - given), sorted(given - ours)
    unused = tuple(name for name in extra if OUTPUT_NORM.fullmatch(name))
    required = f"norm{num_stages(model) - 1}." if final_norm else None
    missing = tuple(
        name for name in absent if not OUTPUT_NORM.fullmatch(name) or (required and name.startswith(required))
    )
    common = sorted(ours & given)
    faults = {
        "not in the checkpoint": () if allow_partial else missing,
        "of another shape": [_shapes(name, state, model) for name in common if state[name].shape != model[name].shape],
        "not in the model": [name for name in extra if name not in unused],
        "with values that are not finite": [name for name in common if not torch.isfinite(state[name]).all()],
    }
    if any(faults.values()):
        lines = [f"{fault} ({len(names)}): {listed(names)}" for fault, names in faults.items() if names]
        raise CheckpointError(
            "\n  ".join(["its tensors do not fit the model:", *lines, *_advice(state, model, missing)])
        )
    return Match(
        {name: state[name] for name in common},
        tuple(name for name in absent if name not in missing),
        missing,
        unused,
    )


def listed(names: Iterable[str], limit: int = LISTED) -> str:
    """The first ``limit`` names, and how many more there are."""
    names = list(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def _advice(state: Mapping[str, Tensor], model: Mapping[str, Tensor], missing: tuple[str, ...]) -> list[str]:
    theirs, ours = infer_arch(state), infer_arch(model)
    if theirs != ours:
        return [f"the config builds arch={describe_arch(ours)}, the checkpoint needs arch={describe_arch(theirs)}"]
    patches = "patch_embed.proj.weight"
    if patches in state and state[patches].shape != model[patches].shape:
        return [f"{patches} is (channels, in_channels, patch_size, patch_size): set them in the config"]
    return ["the file is damaged, or something was left out of it"] if missing else []


def _shapes(name: str, state: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> str:
    return f"{name} {tuple(state[name].shape)} for {tuple(model[name].shape)}"
