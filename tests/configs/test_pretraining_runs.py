"""Recipes of SimMIM and classification run for real, through the tools, with the commands of ``docs/pretraining.md``.

The shipped nuclei stand for ImageNet, each image in a folder of its kind. Only this is changed of a recipe, by
``--cfg-options``: roots, the batch size, and sizes (images, architecture, heads, classes, iterations, workers).
"""

import json
import re
import runpy
import shlex
import sys
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mmswinv2.checkpoint import read_checkpoint

from ..support import FIXTURES, ROOT
from .test_pretraining_recipes import CONFIGS, RECIPES

PAGE = (ROOT / "docs/pretraining.md").read_text()
NUCLEI = ROOT / "demo/nuclei"
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
BATCH, SIDE, CLASSES = 4, 64, 2
IMAGES = 4  # of each class: a training epoch is two iterations

ARCH = {"embed_dims": 16, "depths": "1,1,1,1", "num_heads": "1,2,4,8"}
SMALL = {
    **{f"{loader}.num_workers": 0 for loader in LOADERS},
    **{f"{loader}.persistent_workers": False for loader in LOADERS},
    "model.backbone.arch._delete_": True,
    **{f"model.backbone.arch.{key}": value for key, value in ARCH.items()},
}
SMALL_IMAGES = {f"{loader}.dataset.pipeline.1.input_size": SIDE for loader in LOADERS}
SMALL_MASKS = {f"{loader}.dataset.pipeline.2.input_size": SIDE for loader in LOADERS}
BATCHES = {f"{loader}.batch_size": BATCH for loader in LOADERS}
EPOCH = {"train_cfg.max_epochs": 1}
CLASSIFIER = {
    **SMALL,
    **SMALL_IMAGES,
    **BATCHES,
    "model.num_classes": CLASSES,
    "model.data_preprocessor.num_classes": CLASSES,
}
SIMMIM = {**SMALL, **SMALL_IMAGES, **SMALL_MASKS, **BATCHES}
MASK_RCNN = {
    **SMALL,
    "train_dataloader.batch_size": 3,  # six images with objects
    "train_dataloader.dataset.pipeline.2.scale": "(96,96)",
    "val_dataloader.dataset.pipeline.1.scale": "(96,96)",
    "model.neck.in_channels": "16,32,64,128",
    "model.neck.out_channels": 16,
    "model.rpn_head.in_channels": 16,
    "model.rpn_head.feat_channels": 16,
    "model.roi_head.bbox_roi_extractor.out_channels": 16,
    "model.roi_head.mask_roi_extractor.out_channels": 16,
    "model.roi_head.bbox_head.in_channels": 16,
    "model.roi_head.bbox_head.fc_out_channels": 16,
    "model.roi_head.mask_head.in_channels": 16,
    "model.roi_head.mask_head.conv_out_channels": 16,
    "model.test_cfg.rcnn.score_thr": 0,  # an untrained model is sure of nothing
    "model.test_cfg.rcnn.max_per_img": 10,
}
UPERNET = {
    **SMALL,
    "train_cfg.max_iters": 2,
    "train_dataloader.dataset.pipeline.2.scale": "(256,64)",
    "train_dataloader.dataset.pipeline.3.crop_size": "(64,64)",
    "val_dataloader.dataset.pipeline.1.scale": "(256,64)",
    "model.data_preprocessor.size": "(64,64)",
    "model.decode_head.in_channels": "16,32,64,128",
    "model.decode_head.channels": 16,
    "model.auxiliary_head.in_channels": 64,
    "model.auxiliary_head.channels": 16,
}
WINDOWS_OF_PRETRAINING = "pretrained window    12, 12, 12, 6, told by its buffer"

Run = Callable[..., str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few nuclei as ``imagenet`` has its images, in folders of classes, and as ``ade`` has its label maps."""
    root = tmp_path_factory.mktemp("data")
    for split, scene_split in (("train", "training"), ("val", "validation")):
        coco = json.loads((NUCLEI / f"annotations/instances_{split}.json").read_text())
        kinds = {annotation["image_id"]: annotation["category_id"] for annotation in coco["annotations"]}
        names = defaultdict(list)
        for image in coco["images"]:
            names[kinds[image["id"]]].append(Path(image["file_name"]))
        for kind, files in names.items():
            for file in files[:IMAGES]:
                link(root / f"imagenet/{split}/class{kind}" / file, NUCLEI / split / file)
                link(root / f"ade/images/{scene_split}" / file, NUCLEI / split / file)
                label_map = file.with_suffix(".png")
                link(root / f"ade/annotations/{scene_split}" / label_map, NUCLEI / "semantic" / split / label_map)
    return root


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.fixture
def run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, which saves the imports, and in an own folder; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGENET_ROOT", str(data / "imagenet"))
    monkeypatch.setenv("IMAGENET22K_ROOT", str(data / "imagenet"))
    monkeypatch.setenv("COCO_ROOT", str(FIXTURES / "coco"))
    monkeypatch.setenv("ADE20K_ROOT", str(data / "ade"))
    number = count()

    def run(command: str, options: dict[str, object], status: int = 0) -> str:
        own = {"visualizer.name": f"{tmp_path.name}_{next(number)}", **options}  # a second of a name would be the first
        tool, *arguments = shlex.split(command)
        monkeypatch.setattr(sys, "argv", [tool, *arguments, "--cfg-options", *(f"{k}={v}" for k, v in own.items())])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(tool, run_name="__main__")
        printed = capfd.readouterr()
        assert (end.value.code or 0) == status, printed.err
        return printed.out + printed.err

    return run


def to_train(name: str, *options: str) -> str:
    """The command that trains a recipe."""
    return shlex.join([str(ROOT / "tools/train.py"), str(CONFIGS[name]), "--auto-scale-lr", *options])


def to_test(name: str, *options: str) -> str:
    """The command that tests what :func:`to_train` wrote."""
    return shlex.join([str(ROOT / "tools/test.py"), str(CONFIGS[name]), str(written(name)), *options])


def written(name: str) -> Path:
    """The last checkpoint of a recipe."""
    (path,) = [path for path in Path("work_dirs", name).glob("*.pth") if re.match(r"(epoch|iter)_\d+", path.name)]
    return path


def metric(key: str, printed: str) -> float:
    """The last value that was printed of a metric."""
    return float(re.findall(rf"{re.escape(key)}: ([\d.]+)", printed)[-1])


def page_command(part: str) -> str:
    """The page's command that has ``part`` in it, as it runs here: by its front, without a GPU, and after one epoch."""
    ((name, rest),) = re.findall(rf"\.venv/bin/mmswinv2 (\w+) (.*{re.escape(part)}.*)$", PAGE, re.MULTILINE)
    command = re.sub(r"(?<!\S)(?=tools/|configs/)", f"{ROOT}/", f"tools/{name}.py {rest}".replace(" --amp", ""))
    return re.sub(r"epoch_\d+\.pth", "epoch_1.pth", command)


def assert_learning_rates_are_scaled(name: str) -> None:
    """In the checkpoint each group has the official learning rate for the batch size that ran."""
    groups = read_checkpoint(str(written(name))).content["optimizer"]["param_groups"]
    rates = [group["initial_lr"] for group in groups]
    assert rates == pytest.approx([RECIPES[name][0].lr * BATCH / 512 * group["lr_scale"] for group in groups])


@pytest.mark.parametrize(
    ("name", "key", "sizes"),
    [
        ("swinv2-t-w8_8xb128-300e_in1k-256px", "accuracy/top1", {**CLASSIFIER, **EPOCH}),
        ("swinv2-s-w16_8xb128-300e_in1k-256px", "accuracy/top1", {**CLASSIFIER, **EPOCH}),
        ("simmim_swinv2-g-w12_144xb64-152k_in22k-192px", "reconstruction/l1", {**SIMMIM, "train_cfg.max_iters": 2}),
    ],
)
def test_recipe_trains_and_is_evaluated(name: str, key: str, sizes: dict[str, object], run: Run) -> None:
    """Two iterations; ``tools/test.py`` finds in the checkpoint what the training saw at its end."""
    during = run(to_train(name), sizes)
    assert read_checkpoint(str(written(name))).content["meta"]["iter"] == 2
    assert metric("loss", during) > 0
    assert_learning_rates_are_scaled(name)
    assert metric(key, run(to_test(name), sizes)) == metric(key, during)


def test_22k_goes_on_to_1k_at_twice_the_window(run: Run) -> None:
    """From 22k at window 12 to 1k at window 24, by the configs alone."""
    before, after = "swinv2-b-w12_32xb128-90e_in22k-192px", "swinv2-b-w24_in22k-pre_16xb64-30e_in1k-384px"
    sizes = {**CLASSIFIER, **EPOCH}
    run(to_train(before), sizes)
    printed = run(to_train(after), {**sizes, "model.backbone.init_cfg.checkpoint": written(before)})
    assert "pretrained window    12, 12, 12, 6, told by its buffer" in printed
    for name in (before, after):
        assert_learning_rates_are_scaled(name)
    assert metric("accuracy/top1", run(to_test(after), sizes)) == metric("accuracy/top1", printed)


@pytest.mark.full
def test_giant_goes_on_from_simmim_to_22k_and_1k(run: Run) -> None:
    """The three stages of giant, by the configs alone: no Mixup, and window 12, 12 and 40."""
    first, second, third = (
        "simmim_swinv2-g-w12_144xb64-152k_in22k-192px",
        "swinv2-g-w12_simmim-pre_144xb64-228k_in22k-192px",
        "swinv2-g-w40_in22k-pre_72xb8-10e_in1k-640px",
    )
    iterations = {"train_cfg.max_iters": 2}
    classifier = {**SMALL, **SMALL_IMAGES, **BATCHES, "model.num_classes": CLASSES}
    run(to_train(first), {**SIMMIM, **iterations})
    for before, after, length in ((first, second, iterations), (second, third, EPOCH)):
        weights = {"model.backbone.init_cfg.checkpoint": written(before)}
        printed = run(to_train(after), {**classifier, **length, **weights})
        assert "pretrained window    12, 12, 12, 6, told by its buffer" in printed
        assert_learning_rates_are_scaled(after)
    assert metric("accuracy/top1", run(to_test(third), classifier)) == metric("accuracy/top1", printed)


def test_simmim_goes_on_to_classifier_detector_and_segmentor(run: Run) -> None:
    """The four commands of the page: from window 12 to 14 and to 16, and the pretrained window is never said."""
    simmim = "simmim_swinv2-b-w12_16xb128-800e_in1k-192px"
    during = run(page_command(f"simmim/{simmim}"), {**SIMMIM, **EPOCH})
    assert metric("reconstruction/l1", run(to_test(simmim), SIMMIM)) == metric("reconstruction/l1", during)

    weights = {"model.backbone.init_cfg.checkpoint": written(simmim)}
    links = {
        "swinv2-b-w14_simmim-pre_16xb128-100e_in1k-224px": ("accuracy/top1", {**CLASSIFIER, **EPOCH, **weights}),
        "mask-rcnn_swinv2-b-w16_fpn_1x_coco": ("coco/segm_mAP", {**MASK_RCNN, **EPOCH}),
        "upernet_swinv2-b-w16_8xb2-160k_ade20k-512x512": ("mIoU", UPERNET),
    }
    for name, (key, sizes) in links.items():
        printed = run(page_command(f"/{name}.py"), sizes)
        assert "pretrained window    12, 12, 12, 6, told by its buffer" in printed
        assert 0 <= metric(key, printed) <= 100
        state = read_checkpoint(str(written(name))).content["state_dict"]
        assert state["backbone.pretrained_window_sizes"].tolist() == [[12, 12], [12, 12], [12, 12], [6, 6]]

    # their backbones fit, but they are not what the run was about
    detector = written("mask-rcnn_swinv2-b-w16_fpn_1x_coco")
    printed = run(to_train(simmim, "--resume", str(detector)), {**SIMMIM, **EPOCH}, status=2)
    assert f"The run that wrote {detector} cannot go on with this config" in printed
    assert "  model.type: 'MaskRCNN' -> 'mmswinv2.SimMIM'" in printed
    test = shlex.join([str(ROOT / "tools/test.py"), str(ROOT / f"configs/mask_rcnn/{detector.parent.name}.py")])
    assert "neck.lateral_convs.0.conv.weight" in run(f"{test} {written(simmim)}", MASK_RCNN, status=2)


def test_classifier_is_tested_at_another_size_and_window(run: Run) -> None:
    """The page's last command: other predictions come out, a line for each image."""
    name = "swinv2-t-w8_8xb128-300e_in1k-256px"
    run(to_train(name), {**CLASSIFIER, **EPOCH})
    command = page_command("--out predictions.csv")
    run(command, {**CLASSIFIER, "test_dataloader.dataset.pipeline.1.input_size": 2 * SIDE})
    large = Path("predictions.csv").read_text().splitlines()
    assert len(large) == 1 + CLASSES * IMAGES
    run(command, {**CLASSIFIER, "model.backbone.window_size": 8})
    assert Path("predictions.csv").read_text().splitlines() != large
