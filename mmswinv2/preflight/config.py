"""Checks what a config says of its data, before anything is built."""

import inspect
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from mmengine.utils import is_abs

from ..errors import ConfigError
from ..upstream import innermost_datasets, lists_a_folder

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def leaf_datasets(cfg: Config, loaders: tuple[str, ...] = LOADERS) -> Iterator[tuple[str, ConfigDict]]:
    """Yields (config key, config) of every data set, also of those in a RepeatDataset, ConcatDataset and the like."""
    for loader in loaders:
        dataset = (cfg.get(loader) or {}).get("dataset")
        if isinstance(dataset, dict):
            yield from innermost_datasets(f"{loader}.dataset", dataset)


def dataset_class(dataset: ConfigDict, scope: str | None) -> type[BaseDataset]:
    """Returns the class that a data set's ``type`` names, seen from the config's default scope.

    Raises:
        KeyError: The type is unknown. The message is MMEngine's.
    """
    if not isinstance(dataset["type"], str):
        return dataset["type"]
    with DATASETS.switch_scope_and_registry(dataset.get("_scope_", scope)) as registry:
        found = registry.get(dataset["type"])
        if found is None:
            raise KeyError(f"{dataset['type']} is not in the {registry.scope}::{registry.name} registry")
    return found


def is_local(dataset: ConfigDict) -> bool:
    """Whether the files of a data set lie on a disk. With ``backend_args`` MMEngine fetches them from elsewhere."""
    return not dataset.get("backend_args") and "://" not in str(dataset.get("data_root") or "")


def annotation_file(dataset: ConfigDict) -> str:
    """Returns the path of the annotation file, under ``data_root`` as in MMEngine; empty if there is none."""
    path = dataset.get("ann_file") or ""
    return joined(dataset, path) if path else ""


def joined(dataset: ConfigDict, path: str) -> str:
    """Puts ``path`` under the data set's ``data_root``. An absolute path stays as it is."""
    root = dataset.get("data_root")
    return f"{root.rstrip('/')}/{path}" if root and not is_abs(path) else path


# A root written as '{{$COCO_ROOT:data/coco/}}' in the config's own text.
ENVIRONMENT_ROOT = re.compile(r"\{\{\s*\$(\w+)\s*:\s*(.*?)\s*\}\}")


def check_paths(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Checks that the files and folders of the data are there.

    Args:
        cfg: The config of a run.
        loaders: Keys of the data loaders that the run needs, such as ``("test_dataloader",)``.

    Raises:
        ConfigError: Names every missing file or folder with its config key.
    """
    missing = dict(_missing_paths(cfg, loaders))
    if not missing:
        return
    lines = [f"  {key}: no such {'file' if is_file(key) else 'folder'}: {path}" for key, path in missing.items()]
    raise ConfigError(
        "The config names data that does not exist:\n"
        + "\n".join(lines)
        + f"\nGive the right place{_environment_hint(cfg, missing)} with --cfg-options {next(iter(missing))}=PATH"
    )


def is_file(key: str) -> bool:
    """Whether a config key stands for a file, not a folder."""
    return key.endswith(("ann_file", "proposal_file"))


def _missing_paths(cfg: Config, loaders: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key, dataset in leaf_datasets(cfg, loaders):
        if is_local(dataset):
            missing = dict(_missing_of_dataset(key, dataset))
            root = dataset.get("data_root")
            # Without the root everything in it is missing: then the root is what to name.
            rootless = missing and root and not os.path.isdir(root)
            yield from {f"{key}.data_root": os.path.abspath(root)}.items() if rootless else missing.items()
    for loader in loaders:
        name = loader.replace("dataloader", "evaluator")
        evaluators = cfg.get(name) or []
        single = isinstance(evaluators, dict)
        for index, evaluator in enumerate([evaluators] if single else evaluators):
            path = evaluator.get("ann_file")
            if path and not evaluator.get("backend_args") and not os.path.isfile(path):
                yield f"{name}.ann_file" if single else f"{name}.{index}.ann_file", os.path.abspath(path)


def _missing_of_dataset(key: str, dataset: ConfigDict) -> Iterator[tuple[str, str]]:
    path = annotation_file(dataset)
    if path and not os.path.exists(path):
        yield f"{key}.ann_file", os.path.abspath(path)
    if dataset.get("proposal_file") and not os.path.isfile(joined(dataset, dataset["proposal_file"])):
        yield f"{key}.proposal_file", os.path.abspath(joined(dataset, dataset["proposal_file"]))
    for name, prefix in (dataset.get("data_prefix") or {}).items():
        path = joined(dataset, prefix or "")
        if path and not os.path.isdir(path):
            yield f"{key}.data_prefix.{name}", os.path.abspath(path)


def _environment_hint(cfg: Config, missing: dict[str, str]) -> str:
    """Returns a clause that names the environment variables that the missing paths come from."""
    defaults: dict[str, str] = dict(ENVIRONMENT_ROOT.findall(cfg.text or ""))
    names = []
    for name, default in defaults.items():
        root = Path(os.path.abspath(os.environ.get(name, default)))
        if any(Path(path).is_relative_to(root) for path in missing.values()):
            names.append(name)
    return f" by setting the environment variable {' and '.join(names)} to the root of the data, or" if names else ""


def check_image_folders(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Checks every data set that takes all images in its folder.

    Raises:
        ConfigError: Names the folder, the ending looked for and the endings found.
        KeyError: MMEngine's, if a data set's type is unknown.
    """
    for key, dataset in leaf_datasets(cfg, loaders):
        cls = dataset_class(dataset, cfg.get("default_scope"))
        prefix = (dataset.get("data_prefix") or {}).get("img_path")
        suffix = dataset.get("img_suffix") or default_suffix(cls)
        if prefix and suffix and lists_a_folder(cls) and not dataset.get("ann_file") and is_local(dataset):
            check_folder(joined(dataset, prefix), suffix, key)


def check_folder(folder: str, suffix: str, key: str) -> None:
    """Raises :class:`ConfigError` if no file below ``folder`` ends in ``suffix``."""
    names = [name for _, _, files in os.walk(folder) for name in files]
    if not any(name.endswith(suffix) for name in names):
        endings = Counter(Path(name).suffix or "none" for name in names).most_common(5)
        raise ConfigError(
            f"{key}: no image in {os.path.abspath(folder)} ends in {suffix!r}; "
            f"endings there: {', '.join(ending for ending, _ in endings) or 'no files'}. "
            "Set img_suffix in the data set, and seg_map_suffix if need be, or mend data_prefix.img_path"
        )


def default_suffix(cls: type) -> str | None:
    """Returns the default of ``img_suffix`` in a data set class; None if its signature has no such parameter."""
    parameter = inspect.signature(cls).parameters.get("img_suffix")
    return parameter.default if parameter else None


def check_mixed_batches(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Checks the training batches of a model with :class:`MixupPreprocessor`.

    Raises:
        ConfigError: A batch can have an odd number of images.
    """
    preprocessor = (cfg.get("model") or {}).get("data_preprocessor") or {}
    loader = cfg.get("train_dataloader")
    if not loader or "train_dataloader" not in loaders or not _mixes(preprocessor.get("type")):
        return
    batch_size = loader.get("batch_size")
    if isinstance(batch_size, int) and batch_size % 2:
        raise ConfigError(
            f"train_dataloader.batch_size is {batch_size}, but Mixup and CutMix mix pairs: set an even one, or take "
            "model.data_preprocessor out"
        )
    if not loader.get("drop_last") and not _never_ends(loader.get("sampler") or {}):
        raise ConfigError(
            "The last batch of an epoch can have an odd number of images, but Mixup and CutMix mix pairs: set "
            "train_dataloader.drop_last=True"
        )


def _mixes(kind: str | type | None) -> bool:
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return name.split(".")[-1] == "MixupPreprocessor"


def _never_ends(sampler: dict) -> bool:
    return bool(sampler.get("infinite")) or "InfiniteSampler" in str(sampler.get("type"))


BLOCK = 2**12  # bytes


def check_work_dir(path: str) -> None:
    """Makes the work dir, and checks with a file of no name that it can be written.

    Raises:
        ConfigError: Names the folder and what stands in the way.
    """
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(BLOCK))  # a full disk takes a file, but nothing in it
    except OSError as error:
        raise ConfigError(
            f"The work dir {os.path.abspath(path)} cannot be written ({error.strerror}): "
            "choose another with --work-dir, or mend work_dir in the config"
        ) from error
