"""Several processes train one model only if they have the same config and data: asked before the first step."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..errors import ConfigError, DataError, name_some
from ..registry import HOOKS
from .config_text import leaves
from .resume import HARMLESS, ROOTS

NAMED = 1000  # entries of a data set that are compared by name


@HOOKS.register_module()
class AgreementHook(Hook):
    """Compares config and training data of all processes, as machines may have other copies of either."""

    priority = "HIGHEST"

    def before_train(self, runner: Runner) -> None:
        """Compares.

        Raises:
            ConfigError: Settings differ; all processes raise it, with the keys.
            DataError: The training data differs.
        """
        if get_world_size() == 1:
            return
        compare_configs(decisive(runner.cfg.to_dict()))
        compare_data(dict(described(runner.train_dataloader.dataset)))


def decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that a training depends on, by dotted key; paths may differ from machine to machine."""
    roots = {root: settings[root] for root in (*ROOTS, "strategy") if root in settings}
    return {key: value for key, value in leaves(roots) if not HARMLESS.fullmatch(key)}


def compare_configs(settings: Mapping[str, Any]) -> None:
    """Raises :class:`ConfigError` if a process has other settings than the first one."""
    texts = {key: repr(value) for key, value in settings.items()}
    checksums = all_gather_object(_checksum(repr(sorted(texts.items()))))
    if len(set(checksums)) == 1:
        return
    everyone = all_gather_object(texts)  # large, and so only now
    for rank, other in enumerate(everyone):
        keys = sorted(key for key in {*everyone[0], *other} if everyone[0].get(key) != other.get(key))
        if keys:
            raise ConfigError(
                f"the processes have different configs. Process 0 and process {rank} differ in {name_some(keys)}: "
                "start all of them with the same command and the same files"
            )


def compare_data(description: Mapping[str, Any]) -> None:
    """Raises :class:`DataError` if a process has other training data than the first one."""
    everyone = all_gather_object(description)
    for rank, other in enumerate(everyone):
        for what, value in everyone[0].items():
            if other[what] != value:
                raise DataError(
                    f"the processes have different training data. Process 0 has {what} {value}, process {rank} has "
                    f"{other[what]}: give all machines the same files"
                )


def described(dataset: Any) -> Iterator[tuple[str, Any]]:
    """Yields what a data set is known by: its length, its classes, and a checksum of the names of its entries."""
    yield "length", len(dataset)
    yield "classes", (getattr(dataset, "metainfo", None) or {}).get("classes")
    if hasattr(dataset, "get_data_info"):
        step = max(1, len(dataset) // NAMED)
        entries = (dataset.get_data_info(index) for index in range(0, len(dataset), step))
        names = [str(entry.get("img_path", "")).rpartition("/")[2] for entry in entries]
        yield "names with the checksum", _checksum(repr(names))[:12]


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
