"""Checkpoints: reading them safely, recognising their form, remapping, checking, writing."""

from ..errors import CheckpointError
from .archive import save_sealed
from .backbone import BackboneCheckpoint, NativeWeights, describe_arch, model_weights, open_checkpoint, to_native
from .convert import TARGETS, check_target, convert, save_converted
from .forms import FORMS
from .load import LoadReport, describe, load_pretrained, match_state
from .run_folder import last_written, newest_whole, numbered_checkpoints, remove_partial, set_aside
from .sharded import check_whole, is_sharded, remove
from .sources import HUB_PREFIX, read_checkpoint
from .windows import Windows

__all__ = [
    "FORMS",
    "HUB_PREFIX",
    "TARGETS",
    "BackboneCheckpoint",
    "CheckpointError",
    "LoadReport",
    "NativeWeights",
    "Windows",
    "check_target",
    "check_whole",
    "convert",
    "describe",
    "describe_arch",
    "is_sharded",
    "last_written",
    "load_pretrained",
    "match_state",
    "model_weights",
    "newest_whole",
    "numbered_checkpoints",
    "open_checkpoint",
    "read_checkpoint",
    "remove",
    "remove_partial",
    "save_converted",
    "save_sealed",
    "set_aside",
    "to_native",
]
