"""``mmswinv2 check`` lists all faults of all data sets of a config at once, for people and for programs."""

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmswinv2.cli import main
from mmswinv2.datasets.listing import write_index
from mmswinv2.preflight import data_sets, hooks

from ..datasets.test_image_shards import write_shards
from ..datasets.trees import CLASSES, IMAGES, write_classes
from ..preflight import odd_images as odd
from ..preflight.support import TRAIN_JSON, built_dataset, edit_json
from ..tiny_nuclei import write_tiny_nuclei
from .support import CONFIGS

DETECTION, SEGMENTATION = CONFIGS / "tiny_mask_rcnn.py", CONFIGS / "tiny_upernet.py"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny data set that the tiny configs find."""
    monkeypatch.setenv("TINY_ROOT", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return write_tiny_nuclei(tmp_path / "data")


def check(*arguments: object) -> tuple[int, list[dict]]:
    """Runs the command, and returns its exit status and the faults that it writes."""
    with pytest.raises(SystemExit) as end:
        main(["check", *map(str, arguments), "--json", "faults.json"])
    report = json.loads(Path("faults.json").read_text())
    assert report["counts"] == {
        severity: sum(fault["severity"] == severity for fault in report["faults"])
        for severity in ("error", "warning", "note")
    }
    return end.value.code or 0, report["faults"]


def kinds(faults: list[dict]) -> Counter:
    return Counter((fault["severity"], fault["kind"]) for fault in faults)


@pytest.mark.parametrize("config", [DETECTION, SEGMENTATION], ids=["detection", "segmentation"])
def test_good_data_has_no_fault(config: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(config) == (0, [])
    assert "No error in the data of train_dataloader, val_dataloader, test_dataloader" in capsys.readouterr().out


def test_all_faults_of_a_detection_set_are_listed_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = sorted((root / "train").iterdir())
    odd.truncated(images[0])
    odd.gone(images[1])
    odd.sized(50, 60)(images[2])

    def spoil(content: dict) -> None:
        annotations = content["annotations"]
        annotations[0]["bbox"] = [1, 2, math.nan, 4]
        annotations[1]["bbox"] = [1, 2, 0, 4]
        annotations[2]["segmentation"] = []
        annotations[4]["id"] = annotations[3]["id"]
        content["categories"].reverse()

    edit_json(root / TRAIN_JSON, spoil)
    val = next((root / "val").iterdir())
    odd.text(val)
    status, faults = check(DETECTION)
    assert status == 1
    assert kinds(faults) == {
        ("error", "broken-file"): 3,
        ("error", "image-size"): 1,
        ("error", "malformed-box"): 1,
        ("error", "no-segmentation"): 1,
        ("error", "duplicate-annotation-id"): 1,
        ("error", "unusable-data"): 1,  # the order of the categories
        ("warning", "thin-box"): 1,
    }
    found = {fault["kind"]: fault for fault in faults}
    assert found["malformed-box"] == {
        "kind": "malformed-box",
        "severity": "error",
        "key": "train_dataloader.dataset.dataset.ann_file",
        "file": str(root / TRAIN_JSON),
        "entry": "annotation 1",
        "message": "annotation 1 of 00071198d059ba7f.jpg: bbox [1, 2, nan, 4]",
    }
    assert {fault["file"] for fault in faults if fault["kind"] == "broken-file"} == set(map(str, [*images[:2], val]))
    shown = capsys.readouterr().out
    assert "error: train_dataloader.dataset.dataset.ann_file" in shown and "broken-file" in shown


def test_every_label_map_is_decoded(root: Path) -> None:
    first, second = sorted((root / "semantic/train").iterdir())[:2]
    Image.fromarray(np.full_like(np.asarray(Image.open(first)), 9)).save(first)
    Image.open(second).resize((9, 9)).save(second)
    status, faults = check(SEGMENTATION)
    assert status == 1
    assert kinds(faults) == {("error", "label-values"): 1, ("error", "label-map-size"): 1}


def test_more_images_than_a_run_decodes_are_all_decoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that the sample of a run misses."""
    monkeypatch.setattr(hooks, "AT_START", data_sets.Depth(200, 2))
    path = sorted((root / "train").iterdir())[1]
    odd.sized(50, 60)(path)
    dataset = built_dataset(Config.fromfile(DETECTION))
    assert "6 images, 2 of them decoded" in hooks.check_files(dataset, "train_dataloader.dataset")
    assert kinds(check(DETECTION)[1]) == {("error", "image-size"): 1}


def test_warnings_alone_are_no_failure(root: Path) -> None:
    edit_json(root / TRAIN_JSON, lambda content: content["annotations"][0].update(area=0))
    status, faults = check(DETECTION)
    assert (status, kinds(faults)) == (0, {("warning", "zero-area"): 1})


def test_missing_folders_and_broken_files_are_listed_with_the_rest(root: Path) -> None:
    """One unusable data set does not hide the faults of another."""
    shutil.rmtree(root / "val")
    path = root / TRAIN_JSON
    path.write_text(path.read_text()[:500])
    _, faults = check(DETECTION)
    messages = " ".join(fault["message"] for fault in faults)
    assert f"no such folder: {root}/val" in messages
    assert "is not readable as JSON" in messages
    assert sum(fault["kind"] == "broken-file" for fault in faults) == 2


@pytest.mark.parametrize("loaders", [["train_dataloader"], ["val_dataloader"]])
def test_loaders_can_be_chosen(root: Path, loaders: list[str]) -> None:
    odd.text(next((root / "val").iterdir()))
    assert check(DETECTION, "--loaders", *loaders)[0] == int(loaders == ["val_dataloader"])


# --- class folders, list files, shards


def image_config(folder: Path, **dataset: object) -> Path:
    """A config with a training set of images and nothing else."""
    pipeline = [dict(type="mmswinv2.LoadImage"), dict(type="mmswinv2.TimmTransform", input_size=32)]
    settings = dict(type="mmswinv2.ImageDataset", data_root=str(folder), data_prefix=dict(img_path="train"))
    loader = dict(dataset={**settings, "pipeline": pipeline, **dataset}, batch_size=2)
    path = folder / "config.py"
    path.write_text(f"default_scope = 'mmengine'\ntrain_dataloader = {loader!r}\n")
    return path


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class folders."""
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "train")
    return tmp_path


@pytest.mark.parametrize("with_label", [True, False], ids=["classification", "SimMIM"])
def test_class_folders_are_checked(folders: Path, with_label: bool) -> None:
    config = image_config(folders, with_label=with_label)
    assert check(config) == (0, [])
    path = next((folders / "train/dog").iterdir())
    odd.truncated(path)
    status, [fault] = check(config)
    assert (status, fault["kind"], fault["file"]) == (1, "broken-file", str(path))
    assert check(image_config(folders, with_label=with_label, skip_unreadable=True))[0] == 0


def test_an_image_that_a_list_names_twice_is_told(folders: Path) -> None:
    lines = [f"{IMAGES[0]} 0", f"{IMAGES[1]} 0", f"{IMAGES[0]} 0", f"{IMAGES[1]} 1"]
    (folders / "list.txt").write_text("\n".join(lines))
    status, faults = check(image_config(folders, ann_file="list.txt"))
    assert (status, kinds(faults)) == (0, {("warning", "listed-twice"): 1, ("warning", "two-labels"): 1})


def test_a_list_file_that_cannot_be_used_is_told(folders: Path) -> None:
    (folders / "list.txt").write_text(f"{IMAGES[0]} dog\n")
    status, [fault] = check(image_config(folders, ann_file="list.txt"))
    assert status == 1
    assert fault["message"].startswith("the data set cannot be built: ") and "line 1" in fault["message"]


def test_shards_are_checked(folders: Path) -> None:
    write_shards(folders / "shards")
    write_index(str(folders / "shards"), str(folders / "shards.txt"))
    prefix = dict(img_path="shards")
    settings = dict(
        type="mmswinv2.ImageShards", ann_file="shards.txt", data_prefix=prefix, metainfo=dict(classes=CLASSES)
    )
    config = image_config(folders, **settings)
    assert check(config) == (0, [])
    shard = folders / "shards/000001.tar"
    data = shard.read_bytes()
    shard.write_bytes(b"\0" * 512 + data)
    assert kinds(check(config)[1]) == {("error", "broken-file"): 2}
    shard.write_bytes(data[:5000])
    assert kinds(check(config)[1]) == {("error", "broken-shard"): 1}


# --- what is asked wrongly


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loaders", "val_dataloader"], "The config has no val_dataloader: there is no data to look at"),
        (["--json", "nowhere/faults.json"], "nowhere/faults.json cannot be written"),
    ],
)
def test_a_wrong_request_is_told(
    folders: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["check", str(image_config(folders)), *arguments])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
