"""What this project uses of torch, MMEngine, MMDetection and MMSegmentation although they do not document it.

All of it stands here, so that a new version of theirs breaks one file. ``tests/test_upstream.py`` has a test for each.
This module is imported with the package, so at its top it imports neither torch nor OpenMMLab.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset
    from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
    from torch import nn

COMPILED_OPS = "mmcv._ext"  # the module of mmcv's compiled operators
CONFIG_UTILS = "mmengine.config.utils"


def name_config_packages(config_utils: ModuleType) -> None:
    """Makes ``_base_ = 'mmswinv2::...'`` and ``'mmseg::...'`` resolve, in MMEngine's hub and inferencers too.

    MMEngine looks the part before ``::`` up in a table of distributions. The table lacks this package, and for mmseg
    it names upstream's distribution alone. Where mmseg comes from another one, MMEngine says that it is not installed,
    and the hub installs upstream's over it. Where the table names no distribution but a package that can be imported,
    MMEngine takes the package.

    Args:
        config_utils: The module ``mmengine.config.utils``.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    config_utils.MODULE2PACKAGE.setdefault("mmswinv2", "mmswinv2")
    try:
        distribution(config_utils.MODULE2PACKAGE["mmseg"])
    except PackageNotFoundError:
        if find_spec("mmseg") is not None:
            config_utils.MODULE2PACKAGE["mmseg"] = "mmseg"


def when_mmengine_is_imported() -> None:
    """Runs :func:`name_config_packages`, now if MMEngine is imported, else as soon as somebody imports it."""
    if CONFIG_UTILS in sys.modules:
        name_config_packages(sys.modules[CONFIG_UTILS])
    elif not any(isinstance(finder, _ConfigUtilsFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ConfigUtilsFinder())


class _ConfigUtilsFinder(MetaPathFinder):
    """Finds ``mmengine.config.utils`` where it is, and lets :func:`name_config_packages` run after its import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == CONFIG_UTILS else None
        if spec is not None and spec.loader is not None:
            sys.meta_path.remove(self)
            spec.loader = _ConfigUtilsLoader(spec.loader)
        return spec


class _ConfigUtilsLoader(Loader):
    """The loader of ``mmengine.config.utils``, with one more step."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        name_config_packages(module)


def is_recorded(module: "nn.Module") -> bool:
    """Whether MMEngine's ``init_weights`` is at work and records what initialises each parameter of ``module``."""
    return hasattr(module, "_params_init_info")


def is_listed(dataset: "BaseDataset") -> bool:
    """Whether a data set has looked for its entries."""
    return dataset._fully_initialized


def set_listed(dataset: "BaseDataset") -> None:
    """Notes that a data set has looked for its entries."""
    dataset._fully_initialized = True


def chosen_indices(dataset: "BaseDataset") -> int | Sequence[int] | None:
    """The argument ``indices`` of a data set."""
    return dataset._indices


def own_metainfo(dataset: "BaseDataset") -> dict[str, Any]:
    """The ``metainfo`` of a data set itself. Its property returns a copy."""
    return dataset._metainfo


def read_metainfo(dataset_class: "type[BaseDataset]", metainfo: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns what a data set class makes of its argument ``metainfo``. It reads files that are named there."""
    return dataset_class._load_metainfo(metainfo)


def reads_coco(dataset_class: type) -> bool:
    """Whether a data set class reads its annotations as MMDetection's CocoDataset does."""
    return _module_of(dataset_class, "load_data_list") == "mmdet.datasets.coco"


def lists_a_folder(dataset_class: type) -> bool:
    """Whether a data set class finds its images as MMSegmentation's BaseSegDataset does."""
    return _module_of(dataset_class, "load_data_list") == "mmseg.datasets.basesegdataset"


def loads_label_map(transform: object) -> bool:
    """Whether a transform is MMSegmentation's, which takes pixel values for class indices."""
    kind = type(transform)
    return kind.__name__ == "LoadAnnotations" and kind.__module__.startswith("mmseg.")


def _module_of(owner: type, method: str) -> str:
    return getattr(getattr(owner, method, None), "__module__", "")


def count_epoch(loop: "EpochBasedTrainLoop") -> None:
    """Counts an epoch as done, as the loop's own ``run_epoch`` does at its end."""
    loop._epoch += 1


def choose_val_interval(loop: "IterBasedTrainLoop") -> None:
    """Sets the loop's ``val_interval`` where ``dynamic_intervals`` change it at this iteration."""
    loop._decide_current_val_interval()
