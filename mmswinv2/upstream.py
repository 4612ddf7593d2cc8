"""What this project uses of torch, MMEngine, MMDetection and MMSegmentation although they do not document it.

All of it stands here, so that a new version of theirs breaks one file. ``tests/test_upstream.py`` has a test for each.
This module is imported with the package, so at its top it imports neither torch nor OpenMMLab.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset
    from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
    from torch import nn

COMPILED_OPS = "mmcv._ext"  # the module of mmcv's compiled operators
CONFIG_MODULE = "mmengine.config.config"
BUILD_MODULE = "mmengine.registry.build_functions"


def amend_config_names(config_module: ModuleType) -> None:
    """Makes ``_base_ = 'mmswinv2::...'`` and ``'mmseg::...'`` resolve, in MMEngine's hub and inferencers too.

    Args:
        config_module: The module ``mmengine.config.config``.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    name_packages(MODULE2PACKAGE)
    leave_own_scope_out(config_module.Config)


def name_packages(packages: dict[str, str]) -> None:
    """Adds this package to MMEngine's table, and MMSegmentation where it is another distribution than upstream's.

    MMEngine looks the part before ``::`` up in a table of distributions. The table lacks this package, and for mmseg
    it names upstream's distribution alone. Where mmseg comes from another one, MMEngine says that it is not installed,
    and its hub installs upstream's over it. Where the table names no distribution but a module, MMEngine takes the
    module's folder. For this package it names this module, because by the name of a distribution MMEngine 0.10.7 does
    not find an editable installation.

    Args:
        packages: MMEngine's table, from names of modules to names of distributions.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    packages.setdefault("mmswinv2", __name__)
    try:
        distribution(packages["mmseg"])
    except PackageNotFoundError:
        if find_spec("mmseg") is not None:
            packages["mmseg"] = "mmseg"


def leave_own_scope_out(config: Any) -> None:
    """Makes a config inherit ``mmswinv2::...`` as it would inherit the recipe's file.

    MMEngine writes the part before ``::`` as scope into every dict of the base that has a type. But the types of a
    recipe belong to its ``default_scope``, which the config inherits: to MMDetection or MMSegmentation.

    Args:
        config: The class ``mmengine.config.Config``.
    """
    resolve = config._get_cfg_path

    def resolve_without_own_scope(cfg_path: str, filename: str) -> tuple[str, str | None]:
        path, scope = resolve(cfg_path, filename)
        return path, None if scope == "mmswinv2" else scope

    config._get_cfg_path = staticmethod(resolve_without_own_scope)


def when_mmengine_is_imported() -> None:
    """Runs :func:`amend_config_names`, now if MMEngine is imported, else as soon as somebody imports it."""
    if CONFIG_MODULE in sys.modules:
        amend_config_names(sys.modules[CONFIG_MODULE])
    elif not any(isinstance(finder, _ConfigFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ConfigFinder())


class _ConfigFinder(MetaPathFinder):
    """Finds ``mmengine.config.config`` where it is, and lets :func:`amend_config_names` run after its import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == CONFIG_MODULE else None
        if spec is not None and spec.loader is not None:
            sys.meta_path.remove(self)
            spec.loader = _ConfigLoader(spec.loader)
        return spec


class _ConfigLoader(Loader):
    """The loader of ``mmengine.config.config``, with one more step."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        amend_config_names(module)


def failed_build(error: BaseException) -> tuple[dict[str, Any], Any] | None:
    """Returns the config and the class of what MMEngine's registry was building when an error came up.

    Of parts within each other it is the innermost. None if nothing was being built.
    """
    found = None
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_globals.get("__name__") == BUILD_MODULE and frame.f_code.co_name == "build_from_cfg":
            settings, target = frame.f_locals.get("cfg"), frame.f_locals.get("obj_cls")
            found = (settings, target) if isinstance(settings, dict) and target is not None else None
        traceback = traceback.tb_next
    return found


def inner_datasets(dataset: Any) -> list[tuple[str, Any]]:
    """Returns pairs of (key, data set) that a wrapper such as RepeatDataset or ConcatDataset holds; else none.

    Args:
        dataset: A data set, or its config.
    """

    def held(key: str) -> Any:
        return dataset.get(key) if isinstance(dataset, dict) else getattr(dataset, key, None)

    if held("datasets") is not None:
        return [(f"datasets.{index}", inner) for index, inner in enumerate(held("datasets"))]
    return [] if held("dataset") is None else [("dataset", held("dataset"))]


def innermost_datasets(key: str, dataset: Any) -> Iterator[tuple[str, Any]]:
    """Yields pairs of (config key, data set) of the data sets inside all wrappers.

    Args:
        key: Config key of ``dataset``.
        dataset: A data set, or its config.
    """
    inner = inner_datasets(dataset)
    for name, one in inner:
        yield from innermost_datasets(f"{key}.{name}", one)
    if not inner:
        yield key, dataset


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


class WorkerFault(NamedTuple):
    """What torch tells of a data loader whose workers fail.

    Attributes:
        reason: How a worker ended, as ``was killed by signal: Killed``; empty: none did.
        pids: Process ids of workers that ended.
        seconds: How long no batch came, if that is the fault.
    """

    reason: str
    pids: tuple[int, ...]
    seconds: float | None


def worker_fault(error: Exception) -> WorkerFault | None:
    """Returns what an error tells of a data loader's workers; None if it is about something else."""
    # torch raises one error that says how a worker ended, and may replace it by one that does not
    if isinstance(error.__cause__, RuntimeError) and (cause := worker_fault(error.__cause__)) is not None:
        return cause
    text = str(error)
    if late := re.match(r"DataLoader timed out after ([\d.]+) seconds", text):
        return WorkerFault("", (), float(late[1]))
    if ended := re.match(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is )?([^.]+)", text):
        killed = "was " if ended[2].startswith("killed") else ""
        return WorkerFault(killed + ended[2].strip(), tuple(int(pid) for pid in ended[1].split(",")), None)
    return None


def lost_process(error: RuntimeError) -> str | None:
    """Returns the first sentence of an error that a process raises when another one is gone or late; else None."""
    from torch.distributed import DistError

    text = str(error)
    told = isinstance(error, DistError) or "gloo" in text or "NCCL" in text
    lost = re.search(
        r"closed by peer|timed? ?out|timeout|reset by peer|broken pipe|connection refused", text, re.IGNORECASE
    )
    # gloo begins with a place in its own code
    return re.sub(r"^\[[^\]]*\] ", "", text.strip()).splitlines()[0].partition(". ")[0] if told and lost else None


def on_all_processes(save: Callable[..., None]) -> Callable[..., None]:
    """Returns a method of MMEngine's runner without ``master_only``, which lets the first process alone call it."""
    return save.__wrapped__  # type: ignore[attr-defined]


def is_cast(operator: Any) -> bool:
    """Whether an operator copies a tensor into another type, as autocast has it done."""
    import torch

    return operator is torch.ops.aten._to_copy.default


def join_processes_on_cpus(launcher: str, settings: Mapping[str, Any]) -> None:
    """MMEngine's ``init_dist`` for processes that have no GPUs: it chooses one for each, whatever the backend is.

    Args:
        launcher: ``pytorch``, ``slurm`` or ``mpi``.
        settings: As in ``env_cfg.dist_cfg``.
    """
    import torch
    from mmengine.dist import init_dist

    choose_gpu = torch.cuda.set_device
    torch.cuda.set_device = lambda device: None
    try:
        init_dist(launcher, **settings)
    finally:
        torch.cuda.set_device = choose_gpu
