"""What a user can get wrong ends in one message on stderr, without a traceback, and with status 2."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmswinv2.cli.runs import explained
from mmswinv2.datasets import ImageDataset
from mmswinv2.errors import UnreadableImageError

from ..support import ROOT
from ..tiny_nuclei import write_tiny_nuclei
from .support import CONFIGS, command, run_tool, said_by

DETECTION, SEGMENTATION = CONFIGS / "tiny_mask_rcnn.py", CONFIGS / "tiny_upernet.py"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny data set that the tiny configs find; runs write below a folder beside it."""
    monkeypatch.setenv("TINY_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)
    return write_tiny_nuclei(tmp_path / "data")


def refusal(tool: str, *arguments: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The message with which a tool refuses its arguments, the tool run in this process."""
    monkeypatch.setattr(sys, "argv", command(tool, *arguments)[1:])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools" / tool), run_name="__main__")
    assert end.value.code == 2
    # MMEngine's logger of an earlier test may complain here of the closed stream that it was made for.
    _, start, message = capsys.readouterr().err.rpartition(f"{said_by(tool)}: ")
    assert start, "no message of the tool's"
    return message


CASES = {
    "no such config": ("train.py", ["typo.py"], "There is no config file {cwd}/typo.py"),
    "config with a syntax error": ("train.py", ["broken.py"], "The config broken.py cannot be read: SyntaxError"),
    "no such recipe": (
        "train.py",
        ["mmswinv2::mask_rcnn/typo.py"],
        "The config mmswinv2::mask_rcnn/typo.py cannot be read: FileNotFoundError",
    ),
    "config of a package that is not installed": (  # which MMEngine's hub would install
        "train.py",
        ["mmpose::body/typo.py"],
        "The config mmpose::body/typo.py cannot be read: ModuleNotFoundError: the package mmpose is not installed",
    ),
    "config without a model": ("train.py", ["part.py"], "The config has no model"),
    "option that does not fit": (
        "train.py",
        [DETECTION, "--cfg-options", "train_cfg.max_iters.typo=1"],
        "--cfg-options do not fit the config",
    ),
    "missing data": (
        "train.py",
        [DETECTION, "--cfg-options", "val_dataloader.dataset.data_root=nowhere"],
        "val_dataloader.dataset.data_root: no such folder: {cwd}/nowhere",
    ),
    "work dir below a file": (
        "train.py",
        [DETECTION, "--work-dir", "file/run"],
        "The work dir {cwd}/file/run cannot be",
    ),
    "checkpoint to resume from": ("train.py", [DETECTION, "--resume", "no.pth"], "There is no checkpoint {cwd}/no.pth"),
    "mixed precision without a GPU": ("train.py", [DETECTION, "--amp"], "--amp needs a GPU"),
    "learning rate without a base": (
        "train.py",
        [SEGMENTATION, "--auto-scale-lr"],
        "auto_scale_lr=dict(base_batch_size",
    ),
    "checkpoint to test": ("test.py", [DETECTION, "no.pth"], "There is no checkpoint {cwd}/no.pth"),
    "detections into a folder": ("test.py", [DETECTION, "file", "--out", "folder"], "--out takes a .pkl file"),
    "masks under test time augmentation": ("test.py", [DETECTION, "file", "--tta"], "model.roi_head.mask_head=None"),
    "no test data": (
        "test.py",
        [DETECTION, "file", "--cfg-options", "test_cfg=None"],
        "test_cfg: missing beside test_dataloader and test_evaluator, MMEngine needs all three or none",
    ),
    "images to predict": (
        "infer.py",
        [DETECTION, "file", "typo", "--out-dir", "o"],
        "There is no image or folder {cwd}/typo",
    ),
    "folder without images": ("infer.py", [DETECTION, "file", "empty", "--out-dir", "o"], "{cwd}/empty has no images"),
    "images of one name": (
        "infer.py",
        [DETECTION, "file", "twins", "--out-dir", "o"],
        "would overwrite each other's results",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_before_anything_is_built(
    case: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake is named together with the path or option at fault."""
    Path("file").write_text("")
    Path("broken.py").write_text("model = dict(\n")
    Path("part.py").write_text("default_scope = 'mmdet'\n")
    Path("empty").mkdir()
    Path("twins").mkdir()
    for name in ("a.jpg", "a.png"):
        Path("twins", name).write_bytes(b"")
    tool, arguments, expected = CASES[case]
    message = refusal(tool, *arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert expected.format(cwd=tmp_path) in message


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (
            "model.backbone.type=mmswinv2.SwinTransfomerV2",
            "model.backbone.type: there is no model of type 'mmswinv2.SwinTransfomerV2'; "
            "did you mean 'mmswinv2.SwinTransformerV2'?",
        ),
        pytest.param(
            "model.backbone.qkv_bias=True",
            "SwinTransformerV2 has no such keyword:\n  qkv_bias:",
            marks=pytest.mark.full,
            id="keyword",
        ),
        pytest.param(
            "model.decode_head.num_classes=7",
            "model.decode_head.num_classes is 7, the data has 3",
            marks=pytest.mark.full,
            id="classes",
        ),
    ],
)
def test_refused_before_the_first_iteration(root: Path, tmp_path: Path, option: str, expected: str) -> None:
    """Mistakes that show when the model is built: a clean message, and no checkpoint."""
    result = run_tool("train.py", SEGMENTATION, "--cfg-options", option, root=root, cwd=tmp_path)
    assert result.returncode == 2
    assert f"mmswinv2 train: {expected}" in result.stderr or f"\n  {expected}" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.rglob("*.pth")) == []


def test_a_defect_keeps_its_traceback() -> None:
    """Errors that are meant for the user lose their traceback; anything else is a defect and must show its place."""
    with pytest.raises(ZeroDivisionError):
        explained(lambda: 1 / 0, Config())
    with pytest.raises(KeyError, match="no type"):
        explained(lambda: {}["no type"], Config())


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_image_that_breaks_in_the_middle_of_a_run_is_named(num_workers: int, tmp_path: Path) -> None:
    """By the same error from a worker process, without its traceback, and with the way on."""
    (tmp_path / "a.jpg").write_text("<html>404</html>")
    dataset = ImageDataset(data_root=str(tmp_path), with_label=False, pipeline=[dict(type="mmswinv2.LoadImage")])
    with pytest.raises(UnreadableImageError) as error:
        list(DataLoader(dataset, num_workers=num_workers))
    assert re.fullmatch(rf"{tmp_path}/a\.jpg: it is not an image\n.*skip_unreadable=True.*", str(error.value))


def test_broken_packages_are_named_before_they_are_imported(tmp_path: Path) -> None:
    """An mmcv without compiled ops: one message with the mend, not the traceback that importing mmdet would give."""
    (tmp_path / "mmcv").mkdir()
    (tmp_path / "mmcv/__init__.py").write_text("")
    result = subprocess.run(
        command("train.py", DETECTION),
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert "mmswinv2 train: mmcv has no working compiled ops" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh", "slurm_train.sh"])
def test_scripts_say_how_they_are_used(script: str) -> None:
    """A launcher called without its arguments prints its usage and starts nothing."""
    result = subprocess.run(["bash", ROOT / "tools" / script], capture_output=True, text=True)
    assert result.returncode == 2
    assert f"{script} " in result.stderr and "usage: " in result.stderr
