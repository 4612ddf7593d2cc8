"""Whole runs through the tools on a handful of real images: train, kill, resume, test, predict."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmswinv2.checkpoint import read_checkpoint

from ..support import ROOT
from ..tiny_nuclei import VAL, write_tiny_nuclei
from .support import CONFIGS, TIMEOUT, environment, run_tool, run_until_killed

TINY = {"mask_rcnn": CONFIGS / "tiny_mask_rcnn.py", "upernet": CONFIGS / "tiny_upernet.py"}


@pytest.fixture(scope="module", params=["upernet", pytest.param("mask_rcnn", marks=pytest.mark.full)])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Name of the model and folder of a run that was killed in the middle, with its data in ``data``."""
    folder = tmp_path_factory.mktemp(request.param)
    write_tiny_nuclei(folder / "data")
    work_dir = folder / "work"
    options = ("--work-dir", work_dir, "--cfg-options", "train_cfg.max_iters=100000", "train_cfg.val_interval=100000")
    run_until_killed(
        work_dir / "last_checkpoint", "train.py", TINY[request.param], *options, root=folder / "data", cwd=folder
    )
    return request.param, folder


@pytest.fixture(scope="module")
def resumed(trained: tuple[str, Path]) -> tuple[str, Path, Path]:
    """Name of the model, folder of the run, and the checkpoint two iterations after the kill."""
    name, folder = trained
    done = int(re.search(r"iter_(\d+)", (folder / "work/last_checkpoint").read_text()).group(1))
    end = done + 2
    options = (f"train_cfg.max_iters={end}", f"train_cfg.val_interval={end}")
    result = run_tool(
        "train.py",
        TINY[name],
        *("--work-dir", folder / "work", "--resume", "--cfg-options", *options),
        root=folder / "data",
        cwd=folder,
    )
    assert result.returncode == 0, result.stderr
    iterations = [int(number) for number in re.findall(r"Iter\(train\) \[ *(\d+)/", result.stdout + result.stderr)]
    assert iterations == [done + 1, end]
    return name, folder, folder / f"work/iter_{end}.pth"


def test_resumed_run_keeps_the_optimizer_and_the_count(resumed: tuple[str, Path, Path]) -> None:
    """A killed run goes on where its last checkpoint was: iteration and AdamW's own step count agree."""
    _, _, path = resumed
    checkpoint = read_checkpoint(str(path)).content
    iteration = checkpoint["meta"]["iter"]
    assert iteration == int(path.stem.removeprefix("iter_"))
    steps = {int(state["step"]) for state in checkpoint["optimizer"]["state"].values()}
    assert steps == {iteration}


def test_test_tool_scores_draws_and_dumps(resumed: tuple[str, Path, Path]) -> None:
    """tools/test.py evaluates; --show-dir and --out leave what their help says, with test time augmentation too."""
    name, folder, checkpoint = resumed
    out = folder / ("out.pkl" if name == "mask_rcnn" else "maps")
    options = ("--work-dir", folder / "test", "--show-dir", "show", "--out", out)
    options += ("--tta",) if name == "upernet" else ()
    result = run_tool("test.py", TINY[name], checkpoint, *options, root=folder / "data", cwd=folder)
    assert result.returncode == 0, result.stderr
    log = result.stdout + result.stderr
    pictures = [path for path in (folder / "show").rglob("*") if path.suffix in (".jpg", ".png")]
    assert len(pictures) == VAL
    if name == "mask_rcnn":
        assert "coco/segm_mAP" in log
        assert len(pickle.loads(out.read_bytes())) == VAL
    else:
        assert "mIoU" in log
        # The data set has reduce_zero_label, so label maps are numbered from 1 as its own are.
        values = {value for path in out.glob("*.png") for value in np.unique(np.asarray(Image.open(path))).tolist()}
        assert len(list(out.glob("*.png"))) == VAL and values <= {1, 2, 3}


def test_infer_predicts_a_folder_and_names_the_broken_image(resumed: tuple[str, Path, Path]) -> None:
    """tools/infer.py does not lose a folder to one truncated image, and says so in the end."""
    name, folder, checkpoint = resumed
    images = folder / "images"
    shutil.copytree(folder / "data/val", images / "deeper", dirs_exist_ok=True)
    whole = sorted((images / "deeper").glob("*.jpg"))
    (images / "cut.jpg").write_bytes(whole[0].read_bytes()[:-2000])
    options = ("--out-dir", folder / "predicted", "--device", "cpu", "--score-thr", 0.0)
    result = run_tool("infer.py", TINY[name], checkpoint, images, *options, root=folder / "data", cwd=folder)
    assert result.returncode == 2
    assert "1 of 3 images could not be read" in result.stderr and "cut.jpg" in result.stderr
    assert "Traceback" not in result.stderr
    for path in whole:
        picture = Image.open(folder / f"predicted/vis/deeper/{path.stem}.png")
        assert picture.size == Image.open(path).size
        check_prediction(folder / f"predicted/preds/deeper/{path.stem}", Image.open(path))
    assert not (folder / "predicted/vis/cut.png").exists()


def check_prediction(stem: Path, image: Image.Image) -> None:
    """What infer.py wrote for an image fits the image."""
    if stem.with_suffix(".png").exists():
        label_map = np.asarray(Image.open(stem.with_suffix(".png")))
        assert label_map.shape == (image.height, image.width) and label_map.max() < 3
        return
    objects = json.loads(stem.with_suffix(".json").read_text())
    assert objects
    for one in objects:
        assert one["class"] == ("fluorescence-nucleus", "histology-nucleus")[one["label"]]
        assert coco_mask.decode(one["mask"]).shape == (image.height, image.width)
        assert 0 <= one["score"] <= 1 and len(one["bbox"]) == 4


@pytest.mark.full
def test_detection_has_defaults_for_tta(resumed: tuple[str, Path, Path]) -> None:
    """--tta works on a detection config without tta_model and tta_pipeline; the message for masks says how."""
    name, folder, checkpoint = resumed
    if name != "mask_rcnn":
        pytest.skip("detection only")
    options = ("--tta", "--cfg-options", "model.roi_head.mask_head=None", "test_evaluator.metric=bbox")
    result = run_tool("test.py", TINY[name], checkpoint, *options, root=folder / "data", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "coco/bbox_mAP" in result.stdout + result.stderr


@pytest.mark.full
def test_dist_train_passes_its_options_on(tmp_path: Path) -> None:
    """tools/dist_train.sh starts `mmswinv2 train` under torchrun, options with blanks intact."""
    script = ["bash", str(ROOT / "tools/dist_train.sh"), str(TINY["upernet"]), "1", "--work-dir", str(tmp_path / "a b")]
    result = subprocess.run(
        script,
        cwd=tmp_path,
        env={**environment(tmp_path / "no data"), "PYTHON": sys.executable, "PORT": "29517"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert result.returncode != 0
    assert f"no such folder: {tmp_path}/no data" in result.stderr
    assert (tmp_path / "a b").is_dir()
