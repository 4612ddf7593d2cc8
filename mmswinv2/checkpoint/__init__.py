"""Checkpoints: reading them safely, recognising their form, remapping, checking, writing."""

from .conversion import TARGETS, check_target, convert, save_converted
from .errors import CheckpointError
from .forms import FORMS
from .hub import PREFIX as HUB_PREFIX
from .initializer import read_any_form
from .loading import load_pretrained
from .matching import match_state
from .native_weights import NativeWeights, to_native
from .opening import BackboneCheckpoint, open_checkpoint
from .reading import read_checkpoint
from .report import LoadReport, describe

__all__ = [
    "FORMS",
    "HUB_PREFIX",
    "TARGETS",
    "BackboneCheckpoint",
    "CheckpointError",
    "LoadReport",
    "NativeWeights",
    "check_target",
    "convert",
    "describe",
    "load_pretrained",
    "match_state",
    "open_checkpoint",
    "read_any_form",
    "read_checkpoint",
    "save_converted",
    "to_native",
]
