"""Do folders hold images of the ending that a data set looks for? MMSegmentation fails obscurely on none."""

import inspect
import os
from collections import Counter
from pathlib import Path

from mmengine.config import Config

from .dataset_configs import dataset_class, is_local, joined, leaf_datasets
from .errors import ConfigError


def check_image_folders(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Checks every data set that takes whatever images lie in its folder.

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
    """What the class takes for ``img_suffix`` where the config does not say; None if its signature does not show it."""
    parameter = inspect.signature(cls).parameters.get("img_suffix")
    return parameter.default if parameter else None


def lists_a_folder(cls: type) -> bool:
    """Whether a data set class finds its images as MMSegmentation's BaseSegDataset does."""
    return getattr(getattr(cls, "load_data_list", None), "__module__", "") == "mmseg.datasets.basesegdataset"
