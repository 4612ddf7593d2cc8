"""Opening a checkpoint: what it is, before it meets a model."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..arch import Arch
from .architecture import infer_arch
from .contents import find_state_dict
from .errors import CheckpointError
from .native_weights import NativeWeights, to_native
from .reading import read_checkpoint
from .window_evidence import WindowEvidence, find_windows


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
