"""The data sets of a config: where they stand in it and which class they are."""

from collections.abc import Iterator

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS
from mmengine.utils import is_abs

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def leaf_datasets(cfg: Config, loaders: tuple[str, ...] = LOADERS) -> Iterator[tuple[str, ConfigDict]]:
    """Yields (config key, config) of every data set, wrappers such as RepeatDataset or ConcatDataset looked into."""
    for loader in loaders:
        dataset = (cfg.get(loader) or {}).get("dataset")
        if isinstance(dataset, dict):
            yield from _leaves(f"{loader}.dataset", dataset)


def _leaves(key: str, dataset: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    if "datasets" in dataset:
        for index, part in enumerate(dataset["datasets"]):
            yield from _leaves(f"{key}.datasets.{index}", part)
    elif "dataset" in dataset:
        yield from _leaves(f"{key}.dataset", dataset["dataset"])
    else:
        yield key, dataset


def dataset_class(dataset: ConfigDict, scope: str | None) -> type:
    """The class that a data set's ``type`` names, seen from the config's default scope.

    Raises:
        KeyError: MMEngine's message for an unknown type.
    """
    if not isinstance(dataset["type"], str):
        return dataset["type"]
    with DATASETS.switch_scope_and_registry(dataset.get("_scope_", scope)) as registry:
        found = registry.get(dataset["type"])
        if found is None:
            raise KeyError(f"{dataset['type']} is not in the {registry.scope}::{registry.name} registry")
    return found


def is_local(dataset: ConfigDict) -> bool:
    """Whether its files lie on a disk: with ``backend_args`` MMEngine fetches them from elsewhere."""
    return not dataset.get("backend_args") and "://" not in str(dataset.get("data_root") or "")


def annotation_file(dataset: ConfigDict) -> str:
    """Path of the annotation file, joined with ``data_root`` as MMEngine does; empty if there is none."""
    path = dataset.get("ann_file") or ""
    return joined(dataset, path) if path else ""


def joined(dataset: ConfigDict, path: str) -> str:
    """``path`` under the data set's ``data_root``; an absolute path stays as it is."""
    root = dataset.get("data_root")
    return f"{root.rstrip('/')}/{path}" if root and not is_abs(path) else path
