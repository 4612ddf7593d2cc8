"""Odd image files, through the real pipelines: those that load train, those that do not are named before a run."""

import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmswinv2.errors import DataError
from mmswinv2.preflight.hooks import check_files

from . import odd_images as odd
from .support import TRAIN_JSON, built_dataset, edit_json

KEY = "train_dataloader.dataset"
ODD = {  # of any size, and so under the size of their annotations
    "grayscale": odd.grayscale,
    "CMYK": odd.cmyk,
    "16 bits": odd.sixteen_bits,
    "alpha": odd.alpha,
    "palette": odd.palette,
    "EXIF orientation 1": odd.exif(1),
    "PNG under another name": odd.as_format("PNG"),
    "BMP under another name": odd.as_format("BMP"),
}
BROKEN = {
    "truncated": (odd.truncated, "image file is truncated"),
    "text": (odd.text, "it is not an image"),
    "empty": (odd.empty, "the file is empty"),
    "gone": (odd.gone, "no such file"),
}


def images(root: Path) -> list[Path]:
    return sorted((root / "train").iterdir())


def trained(cfg: Config, folder: Path) -> int:
    """Checks and trains for some iterations, as ``mmswinv2 train`` does; returns how many."""
    from mmswinv2.cli.runs import build_runner

    cfg.update(work_dir=str(folder), experiment_name=folder.parent.name, val_cfg=None, val_dataloader=None)
    cfg.update(val_evaluator=None, test_cfg=None, test_dataloader=None, test_evaluator=None)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=4)
    runner: Runner = build_runner(cfg, ("train_dataloader",))
    runner.train()
    return runner.iter


@pytest.mark.parametrize("task", [pytest.param("detection", marks=pytest.mark.full), "segmentation"])
def test_odd_images_train(task: str, root: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """mmcv makes three channels of 8 bits of them all. File names with blanks and of other alphabets work too."""
    cfg = request.getfixturevalue(task)
    for path, change in zip(images(root), ODD.values(), strict=False):
        change(path)
    names = {images(root)[0].stem: "ein Bild", images(root)[1].stem: "画像 ñ"}
    for old, new in names.items():
        (root / f"train/{old}.jpg").rename(root / f"train/{new}.jpg")
        (root / f"semantic/train/{old}.png").rename(root / f"semantic/train/{new}.png")

    def rename(content: dict) -> None:
        for image in content["images"]:
            stem = Path(image["file_name"]).stem
            image["file_name"] = f"{names.get(stem, stem)}.jpg"

    edit_json(root / TRAIN_JSON, rename)
    assert trained(cfg, tmp_path / "work") == 4


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_image_keeps_its_picture(detection: Config, root: Path, kind: str) -> None:
    """What the pipeline makes of it is the picture that it was, in grey where it has no colours."""
    dataset = built_dataset(detection)
    path = Path(dataset.get_data_info(0)["img_path"])
    before = dataset[0]["inputs"].float().mean(0)
    ODD[kind](path)
    check_files(dataset, KEY)
    after = dataset[0]["inputs"].float()
    assert after.shape[0] == 3
    assert (after.mean(0) - before).abs().mean() < 8


@pytest.mark.parametrize("task", ["detection", "segmentation"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_is_named(task: str, root: Path, kind: str, request: pytest.FixtureRequest) -> None:
    change, reason = BROKEN[kind]
    dataset = built_dataset(request.getfixturevalue(task))
    path = Path(dataset.get_data_info(0)["img_path"])
    change(path)
    with pytest.raises(DataError, match=rf"{KEY}: 1 of the \d+ files .*\n  {path}: {reason}"):
        check_files(dataset, KEY)


def test_a_format_that_the_loader_lacks_is_named(detection: Config, root: Path) -> None:
    """PIL reads icons and OpenCV does not: the pipeline's own loader counts."""
    path = images(root)[0]
    odd.as_format("ICO")(path)
    with pytest.raises(DataError, match=rf"{path}: the pipeline cannot load it \(failed to load image"):
        check_files(built_dataset(detection), KEY)


def test_an_image_of_another_size_than_the_json_says_is_refused(detection: Config, root: Path) -> None:
    path = images(root)[0]
    odd.sized(128, 130)(path)
    message = rf"1 of the 6 images looked at have .*\n  {path}: loaded with 128 x 130 px, annotated with 256 x 256 px\n"
    with pytest.raises(DataError, match=message.replace("images looked at", ".*")):
        check_files(built_dataset(detection), KEY)


def test_a_turned_image_whose_annotation_is_not_turned_is_refused(detection: Config, root: Path) -> None:
    """EXIF turns a picture of 320 x 256 px when OpenCV loads it; the JSON has the stored size."""
    path, size = of_two_sides(root)
    odd.exif(6)(path)
    dataset = built_dataset(detection)
    turned = f"loaded with {size[1]} x {size[0]} px, annotated with {size[0]} x {size[1]} px"
    with pytest.raises(DataError, match=rf"{path}: {turned}; its EXIF orientation is 6\n.*color_ignore_orientation"):
        check_files(dataset, KEY)
    edit_json(root / TRAIN_JSON, lambda content: swap_sides(content, path.name))
    check_files(built_dataset(detection), KEY)  # the annotation is turned alike


def test_an_image_that_is_loaded_unturned_fits_the_stored_size(detection: Config, root: Path) -> None:
    path, _ = of_two_sides(root)
    odd.exif(6)(path)
    detection.train_dataloader.dataset.dataset.pipeline[0].color_type = "color_ignore_orientation"
    check_files(built_dataset(detection), KEY)


@pytest.mark.parametrize("orientation", [3, 6])
def test_an_image_turned_within_its_size_is_told(
    detection: Config, root: Path, orientation: int, logged: list[str]
) -> None:
    """By half a turn, or a square one: nothing tells whether its boxes are turned too."""
    path = images(root)[0]
    odd.exif(orientation)(path)
    check_files(built_dataset(detection), KEY)
    assert any(re.search(rf"turned by their EXIF.*\n  {path}: EXIF orientation {orientation}", one) for one in logged)


def test_a_turned_image_does_not_fit_its_label_map(segmentation: Config, root: Path) -> None:
    """A label map is a PNG, which nothing turns."""
    path, size = of_two_sides(root)
    odd.exif(8)(path)
    label_map = root / f"semantic/train/{path.stem}.png"
    message = rf"{label_map}: {size[0]} x {size[1]} px, its image {size[1]} x {size[0]} px; its EXIF orientation is 8"
    with pytest.raises(DataError, match=rf"label maps .* have another size than their image:\n  {message}"):
        check_files(built_dataset(segmentation), KEY)


def test_a_label_map_of_another_size_is_refused(segmentation: Config, root: Path) -> None:
    path = sorted((root / "semantic/train").iterdir())[0]
    Image.open(path).resize((200, 100), Image.NEAREST).save(path)
    with pytest.raises(DataError, match=rf"{path}: 200 x 100 px, its image 256 x 256 px\nA label map has a value"):
        check_files(built_dataset(segmentation), KEY)


def test_a_label_map_of_16_bits_is_refused_where_a_value_is_lost(segmentation: Config, root: Path) -> None:
    """MMSegmentation keeps 8 bits of a value, so that 257 would become 1."""
    path = sorted((root / "semantic/train").iterdir())[0]
    Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) + 256).save(path)
    with pytest.raises(DataError, match=rf"{path}: value 25\d, 25\d"):
        check_files(built_dataset(segmentation), KEY)


# --- sides


def of_two_sides(root: Path) -> tuple[Path, tuple[int, int]]:
    """An image whose sides differ, with width and height."""
    return next((path, size) for path in images(root) if len(set(size := Image.open(path).size)) == 2)


def swap_sides(content: dict, name: str) -> None:
    for image in content["images"]:
        if image["file_name"] == name:
            image["width"], image["height"] = image["height"], image["width"]


def resized(root: Path, width: int, height: int) -> Path:
    """Resizes the first image and its label map, and notes its size and a box in the JSON."""
    path = images(root)[0]
    odd.sized(width, height)(path)
    label_map = root / f"semantic/train/{path.stem}.png"
    Image.open(label_map).resize((width, height), Image.NEAREST).save(label_map)
    outline = [0, 0, width, 0, width, height]

    def edit(content: dict) -> None:
        image = next(one for one in content["images"] if one["file_name"] == path.name)
        image.update(width=width, height=height)
        for one in content["annotations"]:
            if one["image_id"] == image["id"]:
                one.update(bbox=[0, 0, width, height], area=width * height, segmentation=[outline])

    edit_json(root / TRAIN_JSON, edit)
    return path


@pytest.mark.parametrize(
    ("task", "size"),
    [
        pytest.param("detection", (1, 1), marks=pytest.mark.full),
        pytest.param("detection", (1, 40), marks=pytest.mark.full),
        ("segmentation", (60, 2)),
    ],
)
def test_tiny_and_narrow_images_train(
    task: str, root: Path, size: tuple[int, int], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As long as the pipeline leaves a pixel of them."""
    cfg = request.getfixturevalue(task)
    resized(root, *size)
    assert trained(cfg, tmp_path / "work") == 4


def test_a_label_map_of_one_pixel_is_refused(segmentation: Config, root: Path) -> None:
    """MMSegmentation's loader takes the one row for a channel, and drops it."""
    path = resized(root, 40, 1)
    dataset = built_dataset(segmentation)
    with pytest.raises(DataError, match=rf"a side of 1 px.*:\n  {root}/semantic/train/{path.stem}\.png: 40 x 1 px\n"):
        check_files(dataset, KEY)
    assert dataset.pipeline.transforms[1](dataset.pipeline.transforms[0](dataset.get_data_info(0)))[
        "gt_seg_map"
    ].shape == (40,)  # so the check is right


def test_an_image_that_resize_makes_nothing_of_is_refused(detection: Config, root: Path) -> None:
    """4000 x 8 px within 96 x 96 px is a height of 0.2 px: OpenCV would fail, after hours perhaps."""
    path = resized(root, 4000, 8)
    dataset = built_dataset(detection)
    with pytest.raises(DataError, match=rf"resize them to 0 px:\n  {path}: 4000 x 8 px, resized to \(96, 96\)\n"):
        check_files(dataset, KEY)
    with pytest.raises(Exception, match="resize"):
        dataset[0]  # so the check is right


def test_the_recipes_take_the_same_image(detection: Config, root: Path) -> None:
    """Within 1333 x 800 px its height is 3 px: no fault."""
    resized(root, 4000, 8)
    detection.train_dataloader.dataset.dataset.pipeline[2].scale = (1333, 800)
    dataset = built_dataset(detection)
    check_files(dataset, KEY)
    assert dataset[0]["inputs"].shape == (3, 3, 1333)


@pytest.mark.parametrize(
    "resize",
    [
        dict(type="RandomChoiceResize", scales=[(96, 96), (1333, 800)], keep_ratio=True),
        dict(type="RandomResize", scale=[(96, 96), (1333, 800)], keep_ratio=True),
        dict(type="RandomResize", scale=(960, 960), ratio_range=(0.1, 2.0), keep_ratio=True),
        dict(type="RandomChoice", transforms=[[dict(type="Resize", scale=(96, 96), keep_ratio=True)]]),
    ],
    ids=lambda resize: resize["type"],
)
def test_the_smallest_scale_of_a_random_resize_counts(detection: Config, root: Path, resize: dict) -> None:
    path = resized(root, 4000, 8)
    detection.train_dataloader.dataset.dataset.pipeline[2] = resize
    with pytest.raises(DataError, match=rf"{path}: 4000 x 8 px, resized to \(96, 96\)"):
        check_files(built_dataset(detection), KEY)
    detection.train_dataloader.dataset.dataset.pipeline[2] = dict(type="Resize", scale=(96, 96))
    check_files(built_dataset(detection), KEY)  # without keep_ratio there is no fault
