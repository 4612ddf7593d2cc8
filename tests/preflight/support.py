"""What the tests of the checks share."""

import json
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

TRAIN_JSON = "annotations/instances_train.json"


def built_dataset(cfg: Config, loader: str = "train_dataloader") -> object:
    """The data set of a loader, inside its wrapper."""
    dataset = cfg[loader]["dataset"]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return DATASETS.build(dataset.get("dataset", dataset))


def edit_json(path: Path, edit: Callable[[dict], None]) -> None:
    """Changes a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
