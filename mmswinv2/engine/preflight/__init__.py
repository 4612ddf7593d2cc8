"""Checks before a run: what is wrong with a config or its data is said before any work is lost."""

from mmengine.config import Config

from .coco_annotations import check_coco_annotations
from .data_check_hook import DataCheckHook
from .dataset_configs import LOADERS
from .errors import ConfigError
from .image_files import DECODED_SUFFIXES, decode_fault, end_fault
from .image_folders import check_image_folders
from .mixed_batches import check_mixed_batches
from .paths import check_paths
from .unknown_type import explain_unknown_type
from .work_dir import check_work_dir

__all__ = [
    "DECODED_SUFFIXES",
    "LOADERS",
    "ConfigError",
    "DataCheckHook",
    "check_config",
    "check_work_dir",
    "decode_fault",
    "end_fault",
    "explain_unknown_type",
]


def check_config(cfg: Config, loaders: tuple[str, ...] = LOADERS) -> None:
    """Checks the paths and annotation files of a config, before anything is built.

    Args:
        cfg: The config of a run.
        loaders: Keys of the data loaders to look at.

    Raises:
        ConfigError: Names the config key or file at fault and what to do.
        KeyError: MMEngine's, if a data set's type is unknown; see :func:`explain_unknown_type`.
    """
    check_mixed_batches(cfg, loaders)
    check_paths(cfg, loaders)
    check_image_folders(cfg, loaders)
    check_coco_annotations(cfg, loaders)
