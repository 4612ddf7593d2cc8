"""Looks at all data before the first iteration."""

import time
from functools import partial

from mmengine.dataset import BaseDataset
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from ...registry import HOOKS
from .class_counts import check_class_counts
from .errors import ConfigError, name_some
from .image_files import MAX_DECODED, MAX_READ, decode_fault, end_fault, map_files, spread
from .label_maps import label_map_fault, reads_label_maps, values_hint


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Checks classes, images and label maps when training or testing starts.

    Training checks the data of validation and test as well, so that nothing is found out after hours. Every file's
    existence and end is looked at, and up to 500 images and label maps of each data set are decoded.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._checked: list[dict] = []  # configs of data sets, so that equal ones are looked at once

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Checks the data sets of all loops."""
        self._check(runner, "train_dataloader", runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self._check(runner, "val_dataloader", runner.val_dataloader.dataset)
        if runner.cfg.get("test_dataloader") is not None:
            self._check(runner, "test_dataloader")

    @master_only
    def before_test(self, runner: Runner) -> None:
        """Checks the test data set."""
        self._check(runner, "test_dataloader", runner.test_dataloader.dataset)

    def _check(self, runner: Runner, loader: str, dataset: BaseDataset | None = None) -> None:
        """Checks a loader's data set; one that no loop has built yet is built from the config."""
        config = runner.cfg[loader]["dataset"].to_dict()
        config.pop("pipeline", None)
        if config in self._checked:
            return
        self._checked.append(config)
        if dataset is None:
            dataset = DATASETS.build(runner.cfg[loader]["dataset"])
        for key, leaf in built_leaves(f"{loader}.dataset", dataset):
            if not isinstance(leaf, BaseDataset):
                runner.logger.warning(
                    f"{key}: {type(leaf).__name__} is no BaseDataset of MMEngine, its data is not checked"
                )
                continue
            check_class_counts(runner.model, leaf.metainfo, key)
            runner.logger.info(check_files(leaf, key))


def built_leaves(key: str, dataset: BaseDataset) -> list[tuple[str, BaseDataset]]:
    """Pairs of (config key, data set) with wrappers looked into."""
    if hasattr(dataset, "datasets"):
        parts = enumerate(dataset.datasets)
        return [leaf for index, part in parts for leaf in built_leaves(f"{key}.datasets.{index}", part)]
    if hasattr(dataset, "dataset"):
        return built_leaves(f"{key}.dataset", dataset.dataset)
    return [(key, dataset)]


def check_files(dataset: BaseDataset, key: str) -> str:
    """Checks the images and label maps of a data set.

    Args:
        dataset: One whose entries have an ``img_path`` and perhaps a ``seg_map_path``.
        key: Its config key, for errors.

    Returns:
        A sentence on what was checked.

    Raises:
        ConfigError: Names the first few missing or broken files, and their number.
    """
    if getattr(dataset, "backend_args", None):
        return f"{key}: {len(dataset)} images in remote storage (backend_args), not checked"
    start = time.perf_counter()
    entries = [dataset.get_data_info(index) for index in range(len(dataset))]
    images = _paths(entries, "img_path")
    maps = _paths(entries, "seg_map_path")
    _fail_on(map_files(end_fault, spread(images + maps, MAX_READ)), key, len(images + maps))
    _fail_on(map_files(decode_fault, spread(images, MAX_DECODED)), key, len(images))
    report = f"{len(images)} images, {min(len(images), MAX_DECODED)} of them decoded"
    if maps:
        report += f"; {len(maps)} label maps"
    if maps and reads_label_maps(dataset):
        faults = map_files(partial(label_map_fault, dataset=dataset), spread(maps, MAX_DECODED))
        _fail_on(faults, key, len(maps), values_hint(dataset))
        report += f", values of {min(len(maps), MAX_DECODED)} checked"
    return f"{key}: {report} ({time.perf_counter() - start:.1f} s)"


def _paths(entries: list[dict], name: str) -> list[str]:
    return sorted({entry[name] for entry in entries if isinstance(entry.get(name), str)})


def _fail_on(faults: list[str], key: str, total: int, advice: str = "Fetch or remove these files") -> None:
    if faults:
        raise ConfigError(
            f"{key}: {len(faults)} of the {total} files looked at are missing or broken:\n{name_some(faults)}\n{advice}"
        )
