"""The tasks of the study of labels: their images, and how part of those is given to a training or to a test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...study import ROOT, Options, Training
from ...study_cli import data_root
from ...subsets import coco_classes, folder_classes, nested_order, write_coco, write_list

NUCLEI = ROOT / "demo/nuclei"
TISSUE = "2"  # the COCO category of nuclei in stained tissue
# For SimMIM, below MMSWINV2_DATA. The scores of the study are of no image of the first ones.
PHOTOGRAPHS = ("flowers5/train", "facade_instances/train", "camvid", "coco_mini")
HELD_OUT_PHOTOGRAPHS = ("flowers5/val", "facade_instances/val")
FLOWER_KINDS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


@dataclass(frozen=True)
class Pretraining:
    """A SimMIM from which tasks start.

    Attributes:
        name: Of its work dir.
        config: Its config below ``configs/``.
        list_images: Writes the lists of its images into a folder, and returns the settings with which it reads them.
    """

    name: str
    config: str
    list_images: Callable[[Path], Options]

    def training(self, files: Path, options: Options, name: str | None = None) -> Training:
        """Returns its training with seed 0.

        Args:
            files: Folder for the lists of its images.
            options: Settings besides its own.
            name: Of the work dir, if not its own.
        """
        own = (*self.list_images(files), ("randomness.seed", 0))
        return Training(name or self.name, self.config, (*own, *options), cost=2000)


@dataclass(frozen=True)
class Task:
    """A task that is learnt from few labels.

    Attributes:
        name: Of the task.
        slug: For names of files and folders, unique.
        config: Its config below ``configs/``.
        metric: Key of its score in what a test or validation reports.
        unit: What that score is divided by, so that 1 is perfect.
        pretraining: The SimMIM from which it starts, if not from scratch.
        classes: Returns the class of each training image, by its name.
        train_on: Writes the files of a subset, their paths beginning with a given one, and returns the settings with
            which a training reads them.
        test_on: The same for a test on training images.
        rates: Learning rates to begin with, each as many times the one before; one is chosen for each start.
        cost: Of a training, beside those of others.
    """

    name: str
    slug: str
    config: str
    metric: str
    unit: float
    pretraining: Pretraining
    classes: Callable[[], dict[str, str]]
    train_on: Callable[[Path, Sequence[str]], Options]
    test_on: Callable[[Path, Sequence[str]], Options]
    rates: tuple[float, ...]
    cost: float

    def order(self, seed: int) -> list[str]:
        """Returns the training images in the order of which every beginning is a subset."""
        return nested_order(self.classes(), seed)


def flower_classes() -> dict[str, str]:
    """The folder of each photograph of flowers."""
    return folder_classes(data_root() / "flowers5/train")


def train_on_flowers(start: Path, names: Sequence[str]) -> Options:
    """Settings of a classifier's training on these photographs."""
    return (("train_dataloader.dataset.ann_file", _flower_list(start, names)),)


def test_on_flowers(start: Path, names: Sequence[str]) -> Options:
    """Settings of a classifier's test on these photographs."""
    dataset = "test_dataloader.dataset"
    return (f"{dataset}.ann_file", _flower_list(start, names)), (f"{dataset}.data_prefix.img_path", "train")


def _flower_list(start: Path, names: Sequence[str]) -> str:
    lines = [f"{name} {FLOWER_KINDS.index(name.split('/')[0])}" for name in names]
    return write_list(start.with_suffix(".txt"), lines)


def nuclei_classes() -> dict[str, str]:
    """The kind of each microscope image, fluorescence or stained tissue, by the COCO category of its nuclei."""
    return coco_classes(NUCLEI / "annotations/instances_train.json")


def train_on_boxes(start: Path, names: Sequence[str]) -> Options:
    """Settings of a detector's training on these microscope images, which shows tissue three times as often.

    The demo's ``ClassBalancedDataset`` does that for all images. With 25 % of them it may show both kinds twice.
    """
    kinds = nuclei_classes()
    file = _nuclei_file(start, names, lambda name: 3 if kinds[name] == TISSUE else 1)
    return (("train_dataloader.dataset.ann_file", file),)


def test_on_boxes(start: Path, names: Sequence[str]) -> Options:
    """Settings of a detector's test on these microscope images."""
    dataset, file = "test_dataloader.dataset", _nuclei_file(start, names)
    prefix = (f"{dataset}.data_prefix.img", "train/")
    return (f"{dataset}.ann_file", file), prefix, ("test_evaluator.ann_file", file)


def _nuclei_file(start: Path, names: Sequence[str], times: Callable[[str], int] = lambda _: 1) -> str:
    return write_coco(start.with_suffix(".json"), NUCLEI / "annotations/instances_train.json", names, times)


def train_on_nuclei_maps(start: Path, names: Sequence[str]) -> Options:
    """Settings of a segmentor's training on these microscope images, which shows tissue three times as often."""
    stems = [Path(name).stem for name in names]
    tissue = set((NUCLEI / "semantic/train_histology.txt").read_text().split())
    tissue_list = write_list(Path(f"{start}_tissue.txt"), [stem for stem in stems if stem in tissue])
    datasets = "train_dataloader.dataset.datasets"
    return (
        (f"{datasets}.0.ann_file", write_list(start.with_suffix(".txt"), stems)),
        (f"{datasets}.1.dataset.ann_file", tissue_list),
    )


def facade_classes() -> dict[str, str]:
    """Photographs of facades, all of one class: nearly every one shows several kinds of objects."""
    return {file.name: "" for file in sorted((data_root() / "facade_instances/train").glob("*.jpg"))}


def train_on_facade_maps(start: Path, names: Sequence[str]) -> Options:
    """Settings of a segmentor's training on these photographs."""
    stems = write_list(start.with_suffix(".txt"), [Path(name).stem for name in names])
    return (("train_dataloader.dataset.ann_file", stems),)


def list_photographs(files: Path) -> Options:
    """Writes the lists of all images for SimMIM; returns the settings with which a pretraining reads them."""
    train = [*(data_root() / name for name in PHOTOGRAPHS), NUCLEI / "train"]
    held_out = [data_root() / name for name in HELD_OUT_PHOTOGRAPHS]
    options = []
    for loaders, folders in ((("train",), train), (("val", "test"), held_out)):
        paths = [str(file.resolve()) for folder in folders for file in sorted(folder.rglob("*.jpg"))]
        file = write_list(files / f"photographs_{loaders[0]}.txt", paths)
        options += [(f"{loader}_dataloader.dataset.ann_file", file) for loader in loaders]
    return tuple(options)


def test_on_maps(start: Path, names: Sequence[str]) -> Options:
    """Settings of a segmentor's test on these training images."""
    dataset = "test_dataloader.dataset"
    return (
        (f"{dataset}.ann_file", write_list(start.with_suffix(".txt"), [Path(name).stem for name in names])),
        (f"{dataset}.data_prefix.img_path", "train"),
        (f"{dataset}.data_prefix.seg_map_path", "semantic/train"),
    )


RATES = (5e-4, 1e-3, 2e-3)
NUCLEI_PRETRAINING = Pretraining("simmim-nuclei", "analysis/labels_simmim-nuclei.py", lambda files: ())
PHOTO_PRETRAINING = Pretraining("simmim-photos", "analysis/labels_simmim-photos.py", list_photographs)
FLOWERS = Task(
    name="flowers",
    slug="flowers",
    config="analysis/labels_flowers.py",
    metric="accuracy/top1",
    unit=100.0,
    pretraining=PHOTO_PRETRAINING,
    classes=flower_classes,
    train_on=train_on_flowers,
    test_on=test_on_flowers,
    rates=RATES,
    cost=100.0,
)
PROBE = replace(
    FLOWERS,
    name="flowers, linear probe",
    slug="flowers-probe",
    config="analysis/labels_flowers-probe.py",
    rates=(2e-3, 8e-3, 3.2e-2),
    cost=50.0,
)
FACADES = Task(
    name="facades",
    slug="facades",
    config="analysis/labels_facades.py",
    metric="mIoU",
    unit=100.0,
    pretraining=PHOTO_PRETRAINING,
    classes=facade_classes,
    train_on=train_on_facade_maps,
    test_on=test_on_maps,
    rates=(1e-3, 2e-3, 4e-3),
    cost=270.0,
)
NUCLEI_MAPS = Task(
    name="nuclei, maps",
    slug="nuclei-maps",
    config="analysis/labels_nuclei-maps.py",
    metric="mIoU",
    unit=100.0,
    pretraining=NUCLEI_PRETRAINING,
    classes=nuclei_classes,
    train_on=train_on_nuclei_maps,
    test_on=test_on_maps,
    rates=RATES,
    cost=120.0,
)
NUCLEI_BOXES = Task(
    name="nuclei, boxes",
    slug="nuclei-boxes",
    config="analysis/labels_nuclei-boxes.py",
    metric="coco/bbox_mAP_50",
    unit=1.0,
    pretraining=NUCLEI_PRETRAINING,
    classes=nuclei_classes,
    train_on=train_on_boxes,
    test_on=test_on_boxes,
    rates=(1e-3, 2e-3, 4e-3),
    cost=180.0,
)
