"""Loading a checkpoint of any form into the backbone."""

import logging

import torch
from mmengine.logging import print_log
from torch import nn

from .errors import CheckpointError
from .forms import PRETRAINED_WINDOWS
from .matching import listed, match_state
from .opening import BackboneCheckpoint, open_checkpoint
from .report import LoadReport


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
    checkpoint = open_checkpoint(source, prefix, map_location)
    try:
        report = _load(backbone, checkpoint, allow_partial)
    except ValueError as error:
        raise CheckpointError(f"{source}: {error}") from error
    print_log(str(report), logger="current")
    if report.match.missing:
        print_log(f"{source} lacks {listed(report.match.missing)}", logger="current", level=logging.WARNING)
    return report


def _load(backbone: nn.Module, checkpoint: BackboneCheckpoint, allow_partial: bool) -> LoadReport:
    weights = checkpoint.weights
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
    backbone.load_state_dict({**match.state, **windows}, strict=False)
    return LoadReport(checkpoint, match)
