"""Labels, subsets, seeds and unreadable images of the image data set, in its three forms."""

import logging
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader

from mmswinv2.datasets import ImageDataset
from mmswinv2.datasets import image_dataset as module
from mmswinv2.engine import ResumableSampler, SeededIndex
from mmswinv2.errors import UnreadableImageError

from .trees import CLASSES, IMAGES, write_classes

LOAD = dict(type="mmswinv2.LoadImage")
TRAIN = [LOAD, dict(type="mmswinv2.TimmTransform", input_size=32, is_training=True, auto_augment="rand-m9-mstd0.5")]
TEST = [LOAD, dict(type="mmswinv2.TimmTransform", input_size=32)]
MASKED = [*TRAIN, dict(type="mmswinv2.RandomPatchMask", input_size=32, mask_patch_size=8, mask_ratio=0.5)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes of two images."""
    return write_classes(tmp_path / "data")


def build(root: Path, **settings: object) -> ImageDataset:
    """The data set as a config builds it."""
    return DATASETS.build(dict(type="mmswinv2.ImageDataset", data_root=str(root), **settings))


def names(dataset: ImageDataset) -> list[tuple[str, int | None]]:
    """(file name, label) of every entry."""
    entries = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [(Path(entry["img_path"]).name, entry.get("label")) for entry in entries]


EXPECTED = [(image.name, index // 2) for index, image in enumerate(IMAGES[:6])]


def test_class_folders_give_the_labels(root: Path) -> None:
    """The classes are the sorted folders; the paths are there."""
    dataset = build(root.parent, data_prefix=dict(img_path="data"))
    assert dataset.metainfo["classes"] == CLASSES
    assert names(dataset) == EXPECTED
    assert all(Path(dataset.get_data_info(index)["img_path"]).is_file() for index in range(6))
    assert dataset.max_label == 2


def test_chosen_classes_are_numbered_as_they_are_listed(root: Path, tmp_path: Path) -> None:
    """A tuple or a file of names picks folders; a name without a folder is a slip."""
    (tmp_path / "names.txt").write_text("dog\nbird\n")
    for classes in (("dog", "bird"), str(tmp_path / "names.txt")):
        dataset = build(root, metainfo=dict(classes=classes))
        assert dataset.metainfo["classes"] == ("dog", "bird")
        assert names(dataset) == [(name, 0) for name, _ in EXPECTED[4:]] + [(name, 1) for name, _ in EXPECTED[:2]]
    with pytest.raises(ValueError, match=r"1 of the 2 classes have no image: brid\."):
        build(root, metainfo=dict(classes=("dog", "brid")))
    with pytest.raises(ValueError, match=r"metainfo\.classes='nowhere\.txt' is no file"):
        build(root, metainfo=dict(classes="nowhere.txt"))
    with pytest.raises(ValueError, match="names a class twice"):
        build(root, metainfo=dict(classes=("dog", "dog")))


def test_a_list_file_gives_paths_and_labels(root: Path) -> None:
    """Paths count from the prefix, may have blanks, or be absolute; labels need no names."""
    shutil.copy(IMAGES[9], root / "two words.jpg")
    lines = [f"cat/{EXPECTED[2][0]}\t1", "two words.jpg 7", "", f"{root}/dog/{EXPECTED[4][0]} 0"]
    (root.parent / "train.txt").write_text("\n".join(lines))
    dataset = build(root.parent, ann_file="train.txt", data_prefix=dict(img_path="data"))
    assert names(dataset) == [(EXPECTED[2][0], 1), ("two words.jpg", 7), (EXPECTED[4][0], 0)]
    assert dataset.max_label == 7 and "classes" not in dataset.metainfo
    assert all(Path(dataset.get_data_info(index)["img_path"]).is_file() for index in range(3))


def test_images_without_labels_are_read(root: Path) -> None:
    """All images of a folder, or those of a list; classes would be refused by SimMIM's loss if they came along."""
    dataset = build(root, with_label=False)
    assert names(dataset) == [(name, None) for name, _ in EXPECTED]
    assert "classes" not in dataset.metainfo
    (root / "list.txt").write_text(f"dog/{EXPECTED[4][0]}\n")
    assert names(build(root, ann_file="list.txt", with_label=False)) == [(EXPECTED[4][0], None)]


@pytest.mark.parametrize(("indices", "expected"), [(4, [0, 1, 2, 3]), (9, [*range(6)]), (-2, [4, 5]), ([5, 0], [5, 0])])
def test_indices(root: Path, indices: object, expected: list[int]) -> None:
    """The first, the last or the listed images, as with MMEngine's other data sets."""
    dataset = build(root, indices=indices)
    assert names(dataset) == [EXPECTED[index] for index in expected]
    assert dataset.get_data_info(-1) == dataset.get_data_info(len(dataset) - 1)
    with pytest.raises(IndexError):
        dataset.get_data_info(len(dataset))


def test_lazy_init_looks_at_first_use(tmp_path: Path) -> None:
    """MMEngine's tools build data sets lazily, for their metainfo alone."""
    dataset = build(tmp_path / "later", lazy_init=True)
    write_classes(tmp_path / "later")
    assert len(dataset) == 6


def test_a_set_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match=rf"no image in {tmp_path}/empty\.txt"):
        build(tmp_path, ann_file="empty.txt")
    with pytest.raises(ValueError, match=rf"no image in {tmp_path}"):
        build(tmp_path, with_label=False)
    with pytest.raises(ValueError, match="set data_root"):
        ImageDataset()


def test_remote_images_and_list_come_through_mmengine(root: Path) -> None:
    """With backend_args both are fetched by MMEngine's file I/O, here from a web server."""
    (root / "train.txt").write_text(f"dog/{EXPECTED[4][0]} 2\ndog/missing.jpg 2\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=root)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        http = dict(backend="http")
        address = f"http://127.0.0.1:{server.server_port}"
        # MMEngine cannot join a root of this backend.
        place = dict(ann_file=f"{address}/train.txt", data_prefix=dict(img_path=address), backend_args=http)
        remote = ImageDataset(**place, pipeline=[dict(LOAD, backend_args=http), TEST[1]])
        assert torch.equal(remote[0]["inputs"], build(root, pipeline=TEST)[4]["inputs"])
        with pytest.raises(UnreadableImageError, match=rf"{address}/dog/missing\.jpg: .*404"):
            remote[1]
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_batch_is_what_the_models_take(root: Path) -> None:
    """Collated by MMEngine: tensors of images, labels and masks, a list of paths."""
    dataset = build(root, pipeline=MASKED)
    batch = default_collate([dataset[0], dataset[5]])
    assert batch["inputs"].shape == (2, 3, 32, 32) and batch["inputs"].dtype == torch.float32
    assert batch["label"].tolist() == [0, 2]
    assert batch["mask"].shape == (2, 8, 8) and batch["mask"].flatten(1).sum(1).tolist() == [32, 32]
    assert [Path(path).name for path in batch["img_path"]] == [EXPECTED[0][0], EXPECTED[5][0]]


def test_seeded_index_decides_augmentation_and_mask(root: Path) -> None:
    """Whatever was drawn before, and without a trace in the generators that the model draws from."""
    dataset = build(root, pipeline=MASKED)
    state = torch.get_rng_state()
    first = dataset[SeededIndex(1, 7)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    again, other = dataset[SeededIndex(1, 7)], dataset[SeededIndex(1, 8)]
    for key in ("inputs", "mask"):
        assert torch.equal(first[key], again[key]) and not torch.equal(first[key], other[key])


def test_same_samples_whatever_the_number_of_workers(root: Path) -> None:
    """With the resumable sampler, workers change nothing."""
    dataset = build(root, pipeline=MASKED)
    runs = []
    for workers in (0, 2):
        sampler = ResumableSampler(dataset, seed=3)
        loader = DataLoader(dataset, 2, sampler=sampler, num_workers=workers, collate_fn=default_collate)
        runs.append(list(loader))
    for one, other in zip(*runs, strict=True):
        assert one["img_path"] == other["img_path"]
        assert torch.equal(one["inputs"], other["inputs"]) and torch.equal(one["mask"], other["mask"])


# --- unreadable images


def spoil(root: Path, *positions: int) -> list[Path]:
    """Cuts the images at these positions short."""
    paths = sorted(path for path in root.rglob("*.jpg"))
    for position in positions:
        paths[position].write_bytes(paths[position].read_bytes()[:3000])
    return paths


def test_unreadable_image_stops_the_run_with_its_name(root: Path) -> None:
    """By default, where MMEngine would draw another image and say nothing; out of a worker, too."""
    path = spoil(root, 3)[3]
    dataset = build(root, pipeline=TRAIN)
    message = f"{path}: .*truncated"
    with pytest.raises(UnreadableImageError, match=message):
        list(DataLoader(dataset, 2, collate_fn=default_collate))
    try:
        dataset[3]
    except UnreadableImageError:
        carried = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(UnreadableImageError, match=message):
        carried.reraise()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Warnings that MMEngine's current logger gets."""
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def test_skipping_takes_the_next_image_and_counts(root: Path, logged: list[str]) -> None:
    """Batches keep size and order, a sample depends on its index and seed alone; each image is logged once."""
    paths = spoil(root, 2, 3, 5)
    dataset = build(root, pipeline=TRAIN, skip_unreadable=True)
    for _ in range(2):
        taken = [dataset[index]["img_path"] for index in range(6)]
        assert taken == [str(paths[index]) for index in (0, 1, 4, 4, 4, 0)]
    assert torch.equal(dataset[SeededIndex(2, 7)]["inputs"], dataset[SeededIndex(4, 7)]["inputs"])
    assert [message.split(": ")[1] for message in logged] == [str(paths[index]) for index in (2, 3, 5)]
    assert "number 3 of this process" in logged[2]


def test_log_names_the_first_few_and_then_counts(
    tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand broken images are no thousand lines."""
    lines = [f"missing{index}.jpg 0" for index in range(250)] + [f"{IMAGES[0]} 0"]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    dataset = build(tmp_path, ann_file="train.txt", pipeline=TRAIN, skip_unreadable=True)
    monkeypatch.setattr(module, "MAX_SKIPPED_IN_A_ROW", 300)
    assert dataset[0]["img_path"] == str(IMAGES[0])
    counts = [int(message.split("number ")[1].split()[0]) for message in logged]
    assert counts == [1, 2, 3, 4, 5, 100, 200]


def test_skipping_gives_up_where_nothing_can_be_read(tmp_path: Path) -> None:
    """A disk that went away must not look like a slow training."""
    (tmp_path / "train.txt").write_text("".join(f"missing{index}.jpg 0\n" for index in range(200)))
    dataset = build(tmp_path, ann_file="train.txt", pipeline=TRAIN, skip_unreadable=True)
    with pytest.raises(UnreadableImageError, match=r"100 images in a row.*missing149\.jpg: No such file"):
        dataset[50]


def test_evaluation_does_not_skip(root: Path) -> None:
    """A score over other images than the set's would be wrong."""
    with pytest.raises(ValueError, match="skip_unreadable=True is for training"):
        build(root, skip_unreadable=True, test_mode=True)
