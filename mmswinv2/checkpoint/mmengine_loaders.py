"""MMEngine's ways to a checkpoint, all led through :func:`read_checkpoint`.

``load_from``, ``--resume``, ``init_detector`` and the inferencers read through MMEngine's ``CheckpointLoader``. Its own
loaders fall back to running a pickle that the safe reader refuses, so every address scheme gets one of these.
"""

from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from . import hub, model_zoo
from .errors import CheckpointError
from .reading import read_checkpoint

REMOTE = ["http://", "https://", r"(\S+\:)?s3://", r"(\S+\:)?petrel://", hub.PREFIX]


def register_loaders() -> None:
    """Replaces MMEngine's loaders, for local files and all addresses that it knows."""
    register = CheckpointLoader.register_scheme
    register("", load_from_local, force=True)
    register(REMOTE, load_from_remote, force=True)
    register(list(model_zoo.ZOOS), load_from_zoo, force=True)
    register("mmcls://", load_from_mmcls, force=True)
    register("pavi://", load_from_pavi, force=True)


# MMEngine calls a loader with these two arguments, and logs its name without "load_from_".


def load_from_local(filename: str, map_location: Any) -> dict[str, Any]:
    """What a file holds; see :func:`read_checkpoint` for arguments and errors."""
    return read_checkpoint(filename, map_location).content


def load_from_remote(filename: str, map_location: Any) -> dict[str, Any]:
    """The same for an address or a repository on the Hugging Face Hub."""
    return read_checkpoint(filename, map_location).content


def load_from_zoo(filename: str, map_location: Any) -> dict[str, Any]:
    """The same for names in MMEngine's model zoos."""
    return read_checkpoint(str(model_zoo.fetch(filename)), map_location).content


def load_from_mmcls(filename: str, map_location: Any) -> dict[str, Any]:
    """The backbone of a classifier in MMEngine's zoo, without the prefix ``backbone.``, as MMEngine's loader has it."""
    content = load_from_zoo(filename, map_location)
    weights = content.get("state_dict", content).items()
    return {"state_dict": {name[9:]: weight for name, weight in weights if name.startswith("backbone.")}}


def load_from_pavi(filename: str, map_location: Any) -> dict[str, Any]:
    """Refuses: what MMEngine would use for it is not public, so nothing can be said of its safety."""
    raise CheckpointError(f"{filename}: pavi:// is not supported; download the file and give its path")
