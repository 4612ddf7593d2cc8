"""Do the paths that a config names exist?"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config, ConfigDict

from .dataset_configs import annotation_file, is_local, joined, leaf_datasets
from .errors import ConfigError

# A root written as '{{$COCO_ROOT:data/coco/}}' in the config's own text.
ENVIRONMENT_ROOT = re.compile(r"\{\{\s*\$(\w+)\s*:\s*(.*?)\s*\}\}")


def check_paths(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Raises :class:`ConfigError` that names every missing file or folder with its config key.

    Args:
        cfg: The config of a run.
        loaders: Keys of the data loaders that the run needs, such as ``("test_dataloader",)``.
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
    """Names the environment variables that the missing paths come from."""
    names = []
    for name, default in dict(ENVIRONMENT_ROOT.findall(cfg.text or "")).items():
        root = Path(os.path.abspath(os.environ.get(name, default)))
        if any(Path(path).is_relative_to(root) for path in missing.values()):
            names.append(name)
    return f" by setting the environment variable {' and '.join(names)} to the root of the data, or" if names else ""
