"""What is published works by itself: the wheel installed in an empty place trains, away from any checkout."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from math import isfinite
from pathlib import Path

import pytest

from .support import FIXTURES, ROOT

RECIPE = "mmswinv2::mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py"
# The recipe with small images and a small model; the six images with objects make two iterations.
SMALL = {
    "train_dataloader.batch_size": "3",
    "train_dataloader.num_workers": "0",
    "train_dataloader.persistent_workers": "False",
    "train_dataloader.dataset.pipeline.2.scale": "(160,96)",
    "val_dataloader.num_workers": "0",
    "val_dataloader.persistent_workers": "False",
    "val_dataloader.dataset.pipeline.1.scale": "(160,96)",
    "train_cfg.max_epochs": "1",
    "model.backbone.arch._delete_": "True",
    "model.backbone.arch.embed_dims": "16",
    "model.backbone.arch.depths": "1,1,1,1",
    "model.backbone.arch.num_heads": "1,2,4,8",
    "model.neck.in_channels": "16,32,64,128",
    "model.train_cfg.rpn_proposal.max_per_img": "20",
    "model.train_cfg.rcnn.sampler.num": "16",
    "model.roi_head.bbox_head.fc_out_channels": "32",
    "model.test_cfg.rpn.max_per_img": "20",
    "model.test_cfg.rcnn.score_thr": "0.0",  # an untrained head scores below the recipe's threshold
    "default_hooks.logger.interval": "1",
}
SMALL_OPTIONS = ["--cfg-options", *(f"{key}={value}" for key, value in SMALL.items())]

# Writes as JSON what MMEngine's hub and inferencers find by the package's name.
FIND = """
import json, sys
from pathlib import Path
import mmswinv2
import torch
from mmengine.hub import get_config, get_model
from mmengine.infer import BaseInferencer

recipes = Path(mmswinv2.__file__).parent / ".mim/configs"
names = sorted(str(path.relative_to(recipes)) for path in recipes.rglob("*.py"))
with torch.device("meta"):
    models = {name: type(get_model(f"mmswinv2::{name}")).__module__ for name in sys.argv[2:]}
Path(sys.argv[1]).write_text(json.dumps(dict(
    package=mmswinv2.__file__,
    configs={name: get_config(f"mmswinv2::{name}").filename for name in names},
    models=models,
    listed=BaseInferencer.list_models("mmswinv2"),
)))
"""
MODELS = {
    "mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py": "mmdet.models.detectors.mask_rcnn",
    "cascade_mask_rcnn/cascade-mask-rcnn_swinv2-t-w16_fpn_ms-3x_coco.py": "mmdet.models.detectors.cascade_rcnn",
    "upernet/upernet_swinv2-t-w8_8xb2-160k_ade20k-512x512.py": "mmseg.models.segmentors.encoder_decoder",
    "imagenet/swinv2-t-w8_8xb128-300e_in1k-256px.py": "mmswinv2.models.classifier",
    "simmim/simmim_swinv2-b-w12_16xb128-800e_in1k-192px.py": "mmswinv2.models.simmim",
    "demo/upernet_swinv2_nuclei.py": "mmseg.models.segmentors.encoder_decoder",  # no metafile lists the demos
}


def run(*command: object, cwd: Path, **variables: str) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def tracked_files() -> list[str]:
    """What git holds, by names below the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("for a checkout: git does not tell the files")
    return listed.stdout.rstrip("\0").split("\0")


@pytest.fixture(scope="module")
def clean_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git holds, without what else lies in the checkout."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in tracked_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope="module")
def sdist(clean_checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    build = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    run(sys.executable, "-c", build, folder, cwd=clean_checkout)
    (archive,) = folder.iterdir()
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def build_wheel(source: Path, folder: Path) -> Path:
    """Builds the wheel of ``source`` in ``folder``, with nothing but what is installed."""
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(clean_checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    return build_wheel(clean_checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed, and ``bin/python``, an interpreter that knows this one's packages besides.

    Without ``site`` it does not see the checkout, of which an editable installation tells.
    """
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "--no-deps", "--no-index")
    run(*pip, "--target", folder, wheel, cwd=folder)
    packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    python = folder / "bin/python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={":".join([str(folder), *packages])} exec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    return folder


def test_source_distribution_is_complete(sdist: Path) -> None:
    """All that git holds, without the settings of git and of its hosts, and the links that a build makes files of."""
    files = {str(path.relative_to(sdist)) for path in sdist.rglob("*") if path.is_file()}
    missing = {name for name in tracked_files() if name not in files}
    assert missing == {name for name in tracked_files() if name.startswith((".", "mmswinv2/.mim/"))}
    added = {name for name in files - set(tracked_files()) if not name.startswith("mmswinv2.egg-info/")}
    assert added == {"PKG-INFO", "setup.cfg"}


@pytest.mark.parametrize("source", ["checkout", "source distribution"])
def test_wheel_holds_the_package_and_its_recipes(source: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Every module and py.typed, every config, tool and metafile, and nothing else; pip and `build` make the same."""
    if source == "checkout":
        path = request.getfixturevalue("wheel")
    else:
        path = build_wheel(request.getfixturevalue("sdist"), tmp_path)
    with zipfile.ZipFile(path) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {name for name in tracked_files() if name.startswith("mmswinv2/") and "/.mim/" not in name}
    recipes = {name for name in tracked_files() if name.startswith(("configs/", "tools/")) or name == "model-index.yml"}
    assert held == package | {f"mmswinv2/.mim/{name}" for name in recipes}
    assert {"mmswinv2/py.typed", "mmswinv2/.mim/configs/mask_rcnn/metafile.yml"} <= held


def test_installed_command(installed: Path, tmp_path: Path) -> None:
    """The wheel brings the console script."""
    assert run(installed / "bin/python", installed / "bin/mmswinv2", "--version", cwd=tmp_path).startswith("mmswinv2 ")


def test_hub_and_inferencers_find_the_recipes(installed: Path, tmp_path: Path) -> None:
    """By the package's name configs are read, a model of each kind is built, and the metafiles' models are listed."""
    run(installed / "bin/python", "-c", FIND, "found.json", *MODELS, cwd=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert Path(found["package"]) == installed / "mmswinv2/__init__.py"
    mim = installed / "mmswinv2/.mim/configs"
    assert found["configs"] == {name: str(mim / name) for name in found["configs"]}
    shipped = {name.removeprefix("configs/") for name in tracked_files() if name.startswith("configs/")}
    assert set(found["configs"]) == {name for name in shipped if name.endswith(".py")}
    assert found["models"] == MODELS
    recipes = {Path(name).stem for name in found["configs"] if not name.startswith(("_base_/", "demo/", "analysis/"))}
    assert set(found["listed"]) == recipes


@pytest.mark.parametrize(
    "way", ["by name", pytest.param("by a config that inherits, under the launcher", marks=pytest.mark.full)]
)
def test_trains_from_an_empty_folder(way: str, installed: Path, tmp_path: Path) -> None:
    """Two iterations and an evaluation on images of COCO, without the checkout and without the Hub."""
    data, work_dir, python = tmp_path / "coco", tmp_path / "work", installed / "bin/python"
    shutil.copytree(FIXTURES / "coco", data)
    (tmp_path / "empty").mkdir()
    if way == "by name":
        start = [python, "-m", "mmswinv2", "train", RECIPE]
    else:
        config = tmp_path / "mine.py"
        config.write_text(f"_base_ = {RECIPE!r}\n")
        # MMEngine's part of the launch needs a GPU.
        start = ["bash", installed / "mmswinv2/.mim/tools/dist_train.sh", config, 1, "--launcher", "none"]
    log = run(
        *(*start, "--work-dir", work_dir, *SMALL_OPTIONS),
        cwd=tmp_path / "empty",
        COCO_ROOT=str(data),
        HF_HUB_OFFLINE="1",
        HF_HOME=str(tmp_path / "hub"),
        PYTHON=str(python),
        PYTHON_EXEC=str(python),  # for the launcher's processes
        PORT="29527",
    )
    assert "coco/segm_mAP" in log
    (scalars,) = work_dir.rglob("scalars.json")
    losses = [entry["loss"] for entry in map(json.loads, scalars.read_text().splitlines()) if "loss" in entry]
    assert len(losses) == 2 and all(map(isfinite, losses))
    assert (work_dir / "epoch_1.pth").is_file()
