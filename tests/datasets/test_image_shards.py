"""Sharded sets give the same samples as the image files that they were made of, and bad shards are named."""

import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import webdataset
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from mmswinv2.datasets import ImageDataset, ImageShards
from mmswinv2.datasets.listing import index_lines, write_index
from mmswinv2.engine import ResumableSampler, resumable_sampler

from ..support import ROOT
from .trees import CLASSES, IMAGES, write_classes

PIPELINE = [dict(type="mmswinv2.LoadImage"), dict(type="mmswinv2.TimmTransform", input_size=32)]


def write_shards(folder: Path, labels: bool = True) -> list[Path]:
    """Six images in shards of two, by WebDataset's own writer, in no order of labels; returns the images."""
    folder.mkdir(parents=True)
    with webdataset.ShardWriter(str(folder / "%06d.tar"), maxcount=2, verbose=0) as writer:
        for index, image in enumerate(IMAGES[:6]):
            label = {"cls": index % 3} if labels else {}
            writer.write({"__key__": f"sample{index}", "jpg": image.read_bytes(), "json": {"index": index}, **label})
    return IMAGES[:6]


def build(folder: Path, **settings: object) -> ImageShards:
    """The data set of shards, indexed anew."""
    index = folder.with_suffix(".txt")
    write_index(str(folder), str(index))
    place = dict(data_root=str(folder.parent), ann_file=index.name, data_prefix=dict(img_path=folder.name))
    return DATASETS.build(dict(type="mmswinv2.ImageShards", **place, **settings))


def test_samples_equal_those_of_the_image_files(tmp_path: Path) -> None:
    """Pixels and labels, in two workers, in any order; other members of the shards are passed over."""
    images = write_shards(tmp_path / "shards")
    dataset = build(tmp_path / "shards", pipeline=PIPELINE, metainfo=dict(classes=CLASSES))
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{path} {index % 3}\n" for index, path in enumerate(images)))
    files = ImageDataset(ann_file=str(listed), pipeline=PIPELINE)
    order = [5, 0, 3, 1, 4, 2]
    batches = [
        next(iter(DataLoader(each, 6, sampler=order, num_workers=workers, collate_fn=default_collate)))
        for each, workers in ((dataset, 2), (files, 0))
    ]
    assert torch.equal(batches[0]["inputs"], batches[1]["inputs"])
    assert batches[0]["label"].tolist() == batches[1]["label"].tolist() == [index % 3 for index in order]
    assert batches[0]["img_path"][0] == f"{tmp_path}/shards/000002.tar/sample5.jpg"
    assert set(batches[0]) == set(batches[1])
    assert dataset.max_label == 2


@pytest.mark.parametrize(("processes", "batches"), [(2, [3, 3]), (4, [2, 2, 2, 2])])
def test_processes_share_shards_evenly(
    processes: int, batches: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an epoch each image is read; none is short of batches, so where six do not divide some are read twice."""
    write_shards(tmp_path / "shards")
    dataset = build(tmp_path / "shards", pipeline=PIPELINE, metainfo=dict(classes=CLASSES))
    read = []
    for rank in range(processes):
        monkeypatch.setattr(resumable_sampler, "get_dist_info", lambda rank=rank: (rank, processes))
        loader = DataLoader(dataset, 1, sampler=ResumableSampler(dataset, seed=3), num_workers=2)
        read.append([batch["img_path"][0] for batch in loader])
    assert [len(paths) for paths in read] == batches
    paths = [path for own in read for path in own]
    assert len(set(paths)) == 6 and len(paths) == sum(batches)


def test_shards_without_labels_are_read(tmp_path: Path) -> None:
    """SimMIM needs none; a classifier is told the line."""
    write_shards(tmp_path / "shards", labels=False)
    dataset = build(tmp_path / "shards", with_label=False, pipeline=PIPELINE)
    assert len(dataset) == 6 and "label" not in dataset[5]
    with pytest.raises(ValueError, match=r"shards\.txt, line 1: .* -1' does not end in a label"):
        build(tmp_path / "shards")


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards")
    with pytest.raises(ValueError, match=r"shards\.txt, line 3: .* has the label 2, and .* names 2 classes"):
        build(tmp_path / "shards", metainfo=dict(classes=("cat", "dog")))


def test_long_names_and_folders_in_a_shard_are_read(tmp_path: Path) -> None:
    """Names beyond the 100 bytes of a plain header, with blanks, and dots in folders, as tar itself writes them."""
    names = ["v1.0/" + "x" * 150 + "/a.jpg", "v1.0/two words.JPEG"]
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name in names:
            tar.add(IMAGES[0], name)
            label = tarfile.TarInfo(name.rsplit(".", 1)[0] + ".cls")
            label.size = 2
            tar.addfile(label, io.BytesIO(b"7\n"))
    lines = list(index_lines(str(tmp_path)))
    assert [line.rsplit(maxsplit=3)[0] for line in lines] == [f"0.tar/{name}" for name in names]
    (tmp_path / "index.txt").write_text("\n".join(lines))
    dataset = ImageShards(str(tmp_path / "index.txt"), data_prefix=dict(img_path=str(tmp_path)), pipeline=PIPELINE)
    assert [dataset[index]["label"] for index in range(2)] == [7, 7]
    assert torch.equal(dataset[0]["inputs"], dataset[1]["inputs"])


def test_a_list_file_in_the_place_of_an_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("daisy/1.jpg 0\n")
    with pytest.raises(ValueError, match=r"'daisy/1\.jpg 0' is no line of an index.*tools/index_shards\.py"):
        ImageShards(str(tmp_path / "train.txt"), data_root=str(tmp_path))


def compressed(folder: Path) -> None:
    with tarfile.open(folder / "0.tar", "w:gz") as tar:
        tar.add(IMAGES[0], "a.jpg")


def without_images(folder: Path) -> None:
    with tarfile.open(folder / "0.tar", "w") as tar:
        tar.add(IMAGES[0], "a.txt")


def half_labelled(folder: Path) -> None:
    with tarfile.open(folder / "0.tar", "w") as tar:
        tar.add(IMAGES[0], "a.jpg")
        tar.add(IMAGES[1], "b.jpg")
        member = tarfile.TarInfo("b.cls")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"0"))


def label_that_is_no_number(folder: Path) -> None:
    with tarfile.open(folder / "0.tar", "w") as tar:
        tar.add(IMAGES[0], "a.jpg")
        member = tarfile.TarInfo("a.cls")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"cat"))


def label_that_is_a_folder(folder: Path) -> None:
    with tarfile.open(folder / "0.tar", "w") as tar:
        tar.add(IMAGES[0], "a.jpg")
        member = tarfile.TarInfo("a.cls")
        member.type = tarfile.DIRTYPE
        tar.addfile(member)


def nothing(folder: Path) -> None:
    (folder / "readme.txt").touch()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (compressed, r"0\.tar is not an uncompressed tar file"),
        (without_images, r"0\.tar holds no image"),
        (half_labelled, r"0\.tar: some images have a label, .* and some have none"),
        (label_that_is_no_number, r"0\.tar is not .* of images and labels: .*cat"),
        (label_that_is_a_folder, r"0\.tar is not .* of images and labels: a\.cls is a folder"),
        (nothing, r"no \.tar file below"),
    ],
)
def test_bad_shards_are_named(tmp_path: Path, write: Callable, message: str) -> None:
    write(tmp_path)
    with pytest.raises(ValueError, match=message):
        list(index_lines(str(tmp_path)))


@pytest.mark.full
def test_tools_make_and_index_shards_of_class_folders(tmp_path: Path) -> None:
    """The commands of the page on data."""
    write_classes(tmp_path / "data")
    run(tmp_path, "make_shards.py", "data", "shards", "--images", "4")
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == ["000000.tar", "000001.tar"]
    assert "train.txt: 6 images" in run(tmp_path, "index_shards.py", "shards", "train.txt")
    place = dict(data_root=str(tmp_path), data_prefix=dict(img_path="shards"), metainfo=dict(classes=CLASSES))
    dataset = ImageShards("train.txt", **place, pipeline=PIPELINE)
    expected = ImageDataset(data_root=str(tmp_path / "data"), pipeline=PIPELINE)
    for one, other in zip(dataset, expected, strict=True):
        assert one["label"] == other["label"] and torch.equal(one["inputs"], other["inputs"])


def test_index_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A bad shard leaves the index that there was."""
    write_shards(tmp_path / "shards")
    index = tmp_path / "train.txt"
    assert write_index(str(tmp_path / "shards"), str(index)) == 6
    before = index.read_text()
    (tmp_path / "shards/000001.tar").write_bytes(b"no tar" * 100)
    with pytest.raises(ValueError, match=r"000001\.tar is not an uncompressed tar file"):
        write_index(str(tmp_path / "shards"), str(index))
    assert index.read_text() == before


def run(folder: Path, tool: str, *arguments: str) -> str:
    """What a tool prints."""
    command = [sys.executable, str(ROOT / "tools" / tool), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
