"""What the study of labels writes is what the data sets of each task read: the real ones, with the study's configs."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmswinv2.analysis.claims.labels import tasks
from mmswinv2.analysis.claims.labels.tasks import FACADES, FLOWERS, NUCLEI_BOXES, NUCLEI_MAPS, PROBE, Task
from mmswinv2.analysis.study import CONFIGS, Options
from mmswinv2.analysis.subsets import subset

from ....support import shared_data

TASKS = (FLOWERS, PROBE, FACADES, NUCLEI_BOXES, NUCLEI_MAPS)
NEEDS = {FLOWERS.name: "flowers5", PROBE.name: "flowers5", FACADES.name: "facade_instances"}


@pytest.fixture(params=TASKS, ids=lambda task: task.slug)
def task(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Task:
    if request.param.name in NEEDS:
        folder = shared_data(NEEDS[request.param.name])
        monkeypatch.setenv("MMSWINV2_DATA", str(folder.parent.resolve()))
    return request.param


def entries(task: Task, options: Options, loader: str) -> list[dict[str, Any]]:
    """The entries of the data set that a run with these settings builds."""
    config = Config.fromfile(CONFIGS / task.config)
    config.merge_from_dict(dict(options))
    init_default_scope(config.default_scope)
    dataset = Runner.build_dataloader(config[loader]).dataset
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def names(found: list[dict[str, Any]]) -> set[str]:
    return {Path(entry["img_path"]).name for entry in found}


@pytest.mark.parametrize("percent", [5, 100])
def test_a_training_reads_the_images_of_its_subset(task: Task, percent: int, tmp_path: Path) -> None:
    images = subset(task.order(seed=1), percent)
    found = entries(task, task.train_on(tmp_path / "lists/train", images), "train_dataloader")
    assert names(found) == {Path(name).name for name in images}


def test_a_test_reads_training_images_that_are_left_out(task: Task, tmp_path: Path) -> None:
    """With their labels, from the folders for training."""
    images = task.order(seed=0)[-9:]
    found = entries(task, task.test_on(tmp_path / "left-out", images), "test_dataloader")
    assert len(found) == 9
    assert names(found) == {Path(name).name for name in images}
    for entry in found:
        assert Path(entry["img_path"]).is_file()
        if entry.get("seg_map_path"):
            assert Path(entry["seg_map_path"]).is_file()


def test_flowers_keep_their_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the folders give: daisy is 0, tulips are 4."""
    monkeypatch.setenv("MMSWINV2_DATA", str(shared_data("flowers5").parent.resolve()))
    order = FLOWERS.order(seed=0)
    whole = {entry["img_path"]: entry["label"] for entry in entries(FLOWERS, (), "train_dataloader")}
    part = entries(FLOWERS, FLOWERS.train_on(tmp_path / "few", subset(order, 5)), "train_dataloader")
    assert len(part) == 38
    assert all(whole[entry["img_path"]] == entry["label"] for entry in part)


@pytest.mark.parametrize(
    ("percent", "seed", "of_tissue"), [(5, 0, 3), (10, 0, 6), (25, 0, 16), (25, 1, 15), (50, 0, 31), (100, 0, 62)]
)
def test_tissue_comes_three_times_as_often(percent: int, seed: int, of_tissue: int, tmp_path: Path) -> None:
    """In both tasks of nuclei, with few labels as with all, whether tissue is more or less than a fifth of them."""
    images = subset(NUCLEI_MAPS.order(seed), percent)
    classes = tasks.nuclei_classes()
    tissue = {name for name in images if classes[name] == tasks.TISSUE}
    assert len(tissue) == of_tissue
    for task in (NUCLEI_MAPS, NUCLEI_BOXES):
        found = [
            Path(one["img_path"]).name
            for one in entries(task, task.train_on(tmp_path / "few", images), "train_dataloader")
        ]
        assert {found.count(name) for name in tissue} == {3}
        assert {found.count(name) for name in set(images) - tissue} == {1}


def test_photographs_for_simmim_are_no_validation_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of what the tasks are tested on is in the list for its training."""
    folders = (*tasks.PHOTOGRAPHS, *tasks.HELD_OUT_PHOTOGRAPHS)
    [root] = {shared_data(name.split("/")[0]).parent.resolve() for name in folders}
    monkeypatch.setenv("MMSWINV2_DATA", str(root))
    options = dict(tasks.list_photographs(tmp_path))
    train, held_out, tested_on = (
        set(Path(str(options[f"{loader}_dataloader.dataset.ann_file"])).read_text().split())
        for loader in ("train", "val", "test")
    )
    assert tested_on == held_out
    assert len(train) == 750 + 249 + 468 + 115 + 312
    assert len(held_out) == 199 + 54
    assert all(Path(path).is_file() for path in train | held_out)
    for task in (FLOWERS, FACADES, NUCLEI_BOXES):
        tested = names(entries(task, (), "test_dataloader"))
        assert tested.isdisjoint(Path(path).name for path in train)
