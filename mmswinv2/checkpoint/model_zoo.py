"""Checkpoints that MMEngine knows by a name, as ``torchvision://resnet50``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from .errors import CheckpointError


def _openmmlab_models() -> dict[str, str]:
    models = get_external_models()
    return models | {old: models[new] for old, new in get_deprecated_model_names().items() if new in models}


ZOOS: Mapping[str, Callable[[], dict[str, str]]] = {
    "torchvision://": get_torchvision_models,
    "modelzoo://": get_torchvision_models,
    "open-mmlab://": _openmmlab_models,
    "openmmlab://": _openmmlab_models,
    "mmcls://": get_mmcls_models,
}


def fetch(source: str) -> Path:
    """The file of a model zoo's name, in torch's own cache, where MMEngine keeps it as well.

    These files have a hash of their content in the name, so that a cached one cannot be out of date.

    Raises:
        CheckpointError: The zoo has no such model, or it cannot be downloaded.
    """
    zoo, _, name = source.partition("://")
    address = ZOOS[f"{zoo}://"]().get(name)
    if address is None:
        raise CheckpointError(f"{source}: MMEngine knows no model of this name; give a path or an address")
    path = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(address).path).name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(address, str(path), progress=False)
        except OSError as error:
            raise CheckpointError(f"{source}: {address} cannot be downloaded ({error})") from error
    return path
