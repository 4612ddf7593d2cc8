"""Checks before a run. They say what is wrong with a config or its data before any work is lost."""

from mmengine.config import Config

from .agreement import AgreementHook
from .builds import explain_failed_build
from .coco import check_coco_annotations
from .config import (
    LOADERS,
    check_image_folders,
    check_mixed_batches,
    check_paths,
    check_work_dir,
    dataset_class,
    leaf_datasets,
)
from .files import DECODED_SUFFIXES, decode_fault, end_fault
from .hooks import DataCheckHook, WeightsCheckHook, check_weights
from .resume import check_new_run, check_resumed_config
from .settings import check_settings
from .types import explain_unknown_type

__all__ = [
    "DECODED_SUFFIXES",
    "LOADERS",
    "AgreementHook",
    "DataCheckHook",
    "WeightsCheckHook",
    "check_config",
    "check_new_run",
    "check_resumed_config",
    "check_settings",
    "check_weights",
    "check_work_dir",
    "dataset_class",
    "decode_fault",
    "end_fault",
    "explain_failed_build",
    "explain_unknown_type",
    "leaf_datasets",
]


def check_config(cfg: Config, loaders: tuple[str, ...] = LOADERS) -> None:
    """Checks the paths and annotation files of a config whose settings are sound, before anything is built.

    Args:
        cfg: The config of a run.
        loaders: Keys of the data loaders to look at.

    Raises:
        ConfigError: Names the config key at fault and what to do.
        DataError: Names the annotation file at fault and what is wrong in it.
        KeyError: MMEngine's, if a data set's type is unknown; see :func:`explain_unknown_type`.
    """
    check_mixed_batches(cfg, loaders)
    check_paths(cfg, loaders)
    check_image_folders(cfg, loaders)
    check_coco_annotations(cfg, loaders)
