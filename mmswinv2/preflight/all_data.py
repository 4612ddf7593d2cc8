"""Looks at all the data of a config, and goes on behind a fault: ``mmswinv2 check`` lists every one at once."""

import os
import sys
from collections.abc import Callable, Sequence

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, DefaultScope
from rich.progress import Progress

from ..errors import ConfigError, DataError, UserError
from ..upstream import reads_coco
from .coco import coco_file, coco_findings
from .coco_file import CocoFile, check_categories, read_coco
from .config import check_image_folders, check_paths, dataset_class, is_local, leaf_datasets
from .data_sets import FULL, look_at
from .faults import ERROR, NOTE, Fault, Finding, Kind

UNUSABLE = Kind("unusable-data", ERROR, "")
UNSEEN = Kind("not-looked-at", NOTE, "")


def check_all(cfg: Config, loaders: Sequence[str], progress: Progress) -> list[Finding]:
    """Checks every file of the data sets of some loaders.

    Args:
        cfg: The config of a run.
        loaders: Keys of the data loaders.
        progress: Shows how many images of each data set have been looked at.

    Raises:
        KeyError: MMEngine's, if a data set's type is unknown.
    """
    findings = []
    for check in (check_paths, check_image_folders):
        findings += _unless(ConfigError, "", lambda check=check: check(cfg, tuple(loaders)))  # type: ignore[misc]
    seen: list[dict] = []
    for key, config in leaf_datasets(cfg, tuple(loaders)):
        facts = {name: value for name, value in config.items() if name != "pipeline"}
        if facts not in seen:
            seen.append(facts)
            findings += _check_data_set(cfg, key, config, progress)
    return findings


def _check_data_set(cfg: Config, key: str, config: ConfigDict, progress: Progress) -> list[Finding]:
    if not is_local(config):
        return [whole(UNSEEN, key, "its data lies in remote storage (backend_args), and is not looked at")]
    findings: list[Finding] = []
    content = None
    coco = reads_coco(dataset_class(config, cfg.get("default_scope")))
    if coco:
        file = coco_file(cfg, key, config)
        content, findings = _check_coco(file)
        if content is None:
            return findings
    try:
        with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
            dataset = DATASETS.build({**config, "lazy_init": True} if coco else config)
    except Exception as error:  # data sets of other packages raise anything
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return [*findings, whole(UNUSABLE, key, f"the data set cannot be built: {what}")]
    if not isinstance(dataset, BaseDataset):
        return [whole(UNSEEN, key, f"{type(dataset).__name__} is no BaseDataset of MMEngine, it is not looked at")]
    entries = coco_entries(dataset, content) if content else None
    task = progress.add_task(key, total=len(dataset if entries is None else entries))
    found, _ = look_at(dataset, key, FULL, entries, lambda count: progress.advance(task, count))
    return findings + found


def _check_coco(file: CocoFile) -> tuple[dict | None, list[Finding]]:
    """Returns what a COCO file holds, None if it cannot be used, and what is wrong with it."""
    try:
        content = read_coco(file)
    except DataError as error:
        return None, [whole(UNUSABLE, file.key, str(error), file.path)]
    findings = _unless(DataError, file.key, lambda: check_categories(content["categories"], file.where, file.classes))
    return content, findings + coco_findings(file, content, sys.maxsize)


def coco_entries(dataset: BaseDataset, content: dict) -> list[dict]:
    """Returns an entry for every image of a COCO file, those that training leaves out too."""
    images, maps = dataset.data_prefix["img"], dataset.data_prefix.get("seg")
    suffix = getattr(dataset, "seg_map_suffix", ".png")
    return [
        {
            "img_path": os.path.join(images, image["file_name"]),
            "seg_map_path": os.path.join(maps, image["file_name"].rsplit(".", 1)[0] + suffix) if maps else None,
            "height": image["height"],
            "width": image["width"],
        }
        for image in content["images"]
    ]


def whole(kind: Kind, key: str, message: str, file: str = "") -> Finding:
    """Returns a finding about a data set as a whole."""
    return Finding(kind, key, 0, [Fault(file, message)])


def _unless(kind: type[UserError], key: str, check: Callable[[], object]) -> list[Finding]:
    """Runs a check, and returns its error as a finding."""
    try:
        check()
    except kind as error:
        return [whole(UNUSABLE, key, str(error))]
    return []
