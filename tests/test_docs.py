"""The pages cannot rot.

The configs of ``docs/data.md`` are saved where the page says, and its first commands are run, on small models. On every
page the links lead to files, and commands, modules and functions exist. ``docs/architecture.md`` names every room.
"""

import json
import pkgutil
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

import mmswinv2
from mmswinv2.cli import COMMANDS
from mmswinv2.datasets import ImageDataset
from mmswinv2.datasets.listing import write_index

from .datasets.trees import write_classes
from .support import ROOT

PAGE = (ROOT / "docs/data.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/*.md")])
ROOMS = [module.name for module in pkgutil.iter_modules(mmswinv2.__path__)]
# What makes a command of the page quick: a small model on small images. Added to its --cfg-options.
SMALL = {
    "train_dataloader.num_workers": 0,
    "train_dataloader.persistent_workers": False,
    "val_dataloader.num_workers": 0,
    "val_dataloader.persistent_workers": False,
    "model.backbone.arch._delete_": True,
    "model.backbone.arch.embed_dims": 16,
    "model.backbone.arch.depths": "1,1,1,1",
    "model.backbone.arch.num_heads": "1,2,4,8",
}
SMALL_MASK_RCNN = {
    "train_dataloader.dataset.pipeline.2.scale": "'(96,96)'",
    "val_dataloader.dataset.pipeline.1.scale": "'(96,96)'",
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
}
SMALL_UPERNET = {
    "train_dataloader.dataset.pipeline.2.scale": "'(256,64)'",
    "train_dataloader.dataset.pipeline.3.crop_size": "'(64,64)'",
    "val_dataloader.dataset.pipeline.1.scale": "'(256,64)'",
    "model.data_preprocessor.size": "'(64,64)'",
    "model.decode_head.in_channels": "16,32,64,128",
    "model.decode_head.channels": 16,
    "model.auxiliary_head.in_channels": 64,
    "model.auxiliary_head.channels": 16,
}


def blocks(language: str) -> list[str]:
    """The page's fenced blocks of a language; those without one are trees."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def first_command(config: str) -> str:
    """The page's first command that trains a config: the one that looks whether it runs."""
    return next(line for block in blocks("bash") for line in block.splitlines() if f" train {config}" in line)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the repository's, where the page's configs are saved under the names they give."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "configs", folder / "configs")
    for name in ("tools", "demo"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    for block in blocks("python"):
        (folder / re.match(r"# (configs/\S+\.py)\n", block)[1]).write_text(block)
    return folder


@pytest.fixture(scope="module")
def runs(checkout: Path) -> dict[str, str]:
    """What the first commands printed, both run at the same time in a shell."""
    small = {"nuclei_mask-rcnn": SMALL_MASK_RCNN, "nuclei_upernet": SMALL_UPERNET}
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    started = {}
    for config, sizes in small.items():
        added = " ".join(f"{key}={value}" for key, value in {**SMALL, **sizes}.items())
        command = f"{first_command(f'configs/{config}.py')} {added}"
        started[config] = subprocess.Popen(command, shell=True, cwd=checkout, **pipes)
    printed = {config: process.communicate()[0] for config, process in started.items()}
    for config, process in started.items():
        assert process.returncode == 0, printed[config][-4000:]
    return printed


@pytest.mark.full
def test_own_coco_json_trains_and_is_evaluated(checkout: Path, runs: dict[str, str]) -> None:
    assert re.search(r"Epoch\(val\).*coco/bbox_mAP: .*coco/segm_mAP: ", runs["nuclei_mask-rcnn"])
    assert (checkout / "work_dirs/try_mask-rcnn/epoch_1.pth").is_file()


@pytest.mark.full
def test_own_label_maps_train_and_are_evaluated(checkout: Path, runs: dict[str, str]) -> None:
    assert re.search(r"Iter\(val\).*mIoU: ", runs["nuclei_upernet"])
    assert re.search(r"\|\s+histology-nucleus\s+\|", runs["nuclei_upernet"])
    assert (checkout / "work_dirs/try_upernet/iter_2.pth").is_file()


def test_classes_are_numbered_in_the_order_of_the_page(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MMDetection numbers categories in the file's order, whatever `classes` says."""
    monkeypatch.setenv("COCO_ROOT", str(ROOT / "demo/nuclei"))
    dataset = Config.fromfile(checkout / "configs/nuclei_mask-rcnn.py").val_dataloader.dataset
    with DefaultScope.overwrite_default_scope("mmdet"):
        built = DATASETS.build(dataset)
    categories = json.loads((ROOT / "demo/nuclei" / dataset.ann_file).read_text())["categories"]
    numbered = {built.cat2label[category["id"]]: category["name"] for category in categories}
    assert numbered == dict(enumerate(dataset.metainfo.classes))


@pytest.mark.parametrize(("config", "shift"), [("nuclei_upernet", 0), ("nuclei_upernet_from-zero", 1)])
def test_label_values_as_the_table_says(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, shift: int
) -> None:
    """Of the same image: classes 0 to 2, whether the file counts them from 1 or from 0."""
    for folder, suffix in (("train", "jpg"), ("semantic/train", "png")):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(ROOT / f"demo/nuclei/{folder}/00071198d059ba7f.{suffix}", tmp_path / folder)
    label_map = tmp_path / "semantic/train/00071198d059ba7f.png"
    values = np.array(Image.open(label_map))
    Image.fromarray(values - np.uint8(shift)).save(label_map)

    monkeypatch.setenv("ADE20K_ROOT", str(tmp_path))
    cfg = Config.fromfile(checkout / f"configs/{config}.py")
    cfg.train_dataloader.dataset.pipeline = [*cfg.train_dataloader.dataset.pipeline[:2], dict(type="PackSegInputs")]
    with DefaultScope.overwrite_default_scope("mmseg"):
        (sample,) = DATASETS.build(cfg.train_dataloader.dataset)
    np.testing.assert_array_equal(sample["data_samples"].gt_sem_seg.data[0].numpy(), values - 1)
    assert set(np.unique(values - 1)) <= set(range(cfg.model.decode_head.num_classes))


@pytest.mark.parametrize(
    ("recipe", "variable", "default"),
    [
        ("mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py", "COCO_ROOT", "data/coco/"),
        (
            "upernet/upernet_swinv2-t-w8_8xb2-160k_ade20k-512x512.py",
            "ADE20K_ROOT",
            "data/ade/ADEChallengeData2016/",
        ),
        ("imagenet/swinv2-t-w8_8xb128-300e_in1k-256px.py", "IMAGENET_ROOT", "data/imagenet/"),
        ("simmim/simmim_swinv2-b-w12_16xb128-800e_in1k-192px.py", "IMAGENET_ROOT", "data/imagenet/"),
    ],
)
def test_trees_are_what_the_recipes_read(
    monkeypatch: pytest.MonkeyPatch, recipe: str, variable: str, default: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    cfg = Config.fromfile(ROOT / "configs" / recipe)
    (tree,) = [block for block in blocks("") if re.match(rf"{default} +{variable}\n", block)]
    assert cfg.data_root == default
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        for path in (loader.dataset.get("ann_file", ""), *loader.dataset.data_prefix.values()):
            for part in filter(None, path.split("/")):
                assert re.search(rf"── {re.escape(part)}(/|$| )", tree, re.MULTILINE), part


@pytest.mark.parametrize("config", ["flowers_list", "flowers_shards"])
def test_list_file_and_shards_are_read_by_the_page_s_configs(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    """The same images under the same labels as the class folders that both were made of."""
    classes = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    for split in ("train", "val"):
        write_classes(tmp_path / split, classes)
    expected = ImageDataset(data_root=str(tmp_path / "train"))
    folders = [expected.get_data_info(index) for index in range(len(expected))]
    lines = [f"{Path(one['img_path']).relative_to(tmp_path / 'train')} {one['label']}\n" for one in folders]
    (tmp_path / "train.txt").write_text("".join(lines))
    (tmp_path / "shards/train").mkdir(parents=True)
    with tarfile.open(tmp_path / "shards/train/0.tar", "w") as tar:
        for one in folders:
            path = Path(one["img_path"])
            path.with_suffix(".cls").write_text(str(one["label"]))
            for member in (path, path.with_suffix(".cls")):
                tar.add(member, member.relative_to(tmp_path / "train"))
    write_index(str(tmp_path / "shards/train"), str(tmp_path / "train-shards.txt"))

    monkeypatch.setenv("IMAGENET_ROOT", str(tmp_path))
    dataset = DATASETS.build(Config.fromfile(checkout / f"configs/{config}.py").train_dataloader.dataset)
    assert dataset.metainfo["classes"] == expected.metainfo["classes"]
    entries = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [entry["label"] for entry in entries] == [one["label"] for one in folders]
    assert [Path(entry["img_path"]).name for entry in entries] == [Path(one["img_path"]).name for one in folders]


def test_commands_name_files_that_there_are_and_checkpoints_that_there_will_be(checkout: Path) -> None:
    """The epoch or iteration of a checkpoint is the recipe's last."""
    for line in "\n".join(blocks("bash")).splitlines():
        for path in re.findall(r"(?:tools|configs|demo)/\S+", line):
            assert (checkout / path).exists(), path
        checkpoint = re.search(r"(configs/\S+) work_dirs/(\S+)/(epoch|iter)_(\d+)\.pth", line)
        if checkpoint:
            config, work_dir, _, last = checkpoint.groups()
            loop = Config.fromfile(checkout / config).train_cfg
            assert work_dir == Path(config).stem
            assert int(last) == loop.get("max_epochs", loop.get("max_iters"))


def test_links_to_folders_of_the_repository() -> None:
    for path in re.findall(r"`((?:configs|demo|tools)/[\w/.-]+)`", PAGE):
        assert (ROOT / path).exists(), path


def each_page(function: Callable[..., None]) -> Callable[..., None]:
    """Runs a test for every page of the repository."""
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)(function)


@each_page
def test_links_and_pictures_lead_to_files(page: Path) -> None:
    text = page.read_text()
    targets = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for target in targets:
        if "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


@each_page
def test_commands_are_those_that_there_are(page: Path) -> None:
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL):
        for name in re.findall(r"^[ (]*(?:\w+=\S+ )*(?:\.venv/bin/)?mmswinv2 (\S+)", block, re.MULTILINE):
            assert name in COMMANDS, name


def module_names(text: str) -> set[str]:
    """What stands in backticks and begins with a room of the package, such as ``layers.windows.reorder``."""
    return {name for name in re.findall(r"`([a-z_]\w*(?:\.[A-Za-z_]\w*)*)`", text) if name.split(".")[0] in ROOMS}


@each_page
def test_modules_and_functions_exist(page: Path) -> None:
    for name in module_names(page.read_text()):
        pkgutil.resolve_name(f"mmswinv2.{name}")


def test_architecture_names_every_room_and_enough_of_what_is_in_them() -> None:
    """So that the test above has something to look at."""
    page = (ROOT / "docs/architecture.md").read_text()
    first_cells = re.findall(r"^\| `(\w+)/?` \|", page, re.MULTILINE)
    assert sorted(first_cells) == sorted(name for name in ROOMS if name != "__main__")
    assert len([name for name in module_names(page) if name.count(".") >= 2]) > 40


def test_changelog_says_where_names_are_now() -> None:
    rows = re.findall(r"^\| `mmswinv2\..* \| (`mmswinv2\..*`) \|$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    names = re.findall(r"`([\w.]+)`", " ".join(rows))
    assert len(names) > 30
    for name in names:
        pkgutil.resolve_name(name)
