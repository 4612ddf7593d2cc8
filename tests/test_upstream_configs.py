"""What :mod:`mmswinv2.upstream` changes of MMEngine's configs, so that ``mmswinv2::`` and ``mmseg::`` resolve.

Each test says which private name of MMEngine's it is about. If one fails after an update, look at that name: it has
gone, changed, or MMEngine now does by itself what this project adds.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from mmswinv2.upstream import name_packages

from .cli.support import environment
from .support import ROOT

STOCK = "mmseg::upernet/upernet_r50_4xb4-80k_ade20k-512x512.py"
RECIPE = "mmswinv2::mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py"
# Reads both as a base and from MMEngine's hub, where nothing may be started: the hub installs what it does not find.
READ = f"""
import subprocess, sys
from mmengine.config import Config
from mmengine.hub import get_config

def refuse(*args, **kwargs):
    raise AssertionError(f"a process is started: {{args}}")

subprocess.Popen = refuse
for name in ({STOCK!r}, {RECIPE!r}):
    with open(sys.argv[1], "w") as file:
        file.write(f"_base_ = [{{name!r}}]")
    read, named = Config.fromfile(sys.argv[1]), get_config(name)
    assert read.model.type == named.model.type, (read.model, named.model)
"""


@pytest.mark.parametrize(
    "first",
    ["import mmengine.config, mmswinv2", pytest.param("import mmswinv2, mmengine.config", marks=pytest.mark.full)],
)
def test_names_resolve_in_either_order_of_imports(first: str, tmp_path: Path) -> None:
    """mmengine.config.config and MODULE2PACKAGE: amended at once where they are there, else at MMEngine's import."""
    done = subprocess.run(
        [sys.executable, "-c", first + READ, tmp_path / "child.py"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_stock_config_as_base_on_the_command_line(tmp_path: Path) -> None:
    """`mmswinv2 config` of a config that a user types, with the swap that README shows."""
    config = tmp_path / "upernet_swinv2.py"
    config.write_text(
        f"_base_ = {STOCK!r}\n"
        "model = dict(\n"
        "    pretrained=None,\n"
        "    backbone=dict(_delete_=True, type='mmswinv2.SwinTransformerV2', arch='tiny', window_size=8),\n"
        "    decode_head=dict(in_channels=[96, 192, 384, 768]),\n"
        "    auxiliary_head=dict(in_channels=384),\n"
        ")\n"
        "train_dataloader = val_dataloader = test_dataloader = None  # no data here\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mmswinv2", "config", config],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "EncoderDecoder" in done.stdout and "384 channels, stride 16" in done.stdout


def test_inherited_recipe_is_the_recipe(tmp_path: Path) -> None:
    """Config._get_cfg_path: whoever inherits ``mmswinv2::NAME`` gets what the file says, no scope added."""
    child = tmp_path / "child.py"
    for path in sorted((ROOT / "configs").rglob("*.py")):
        name = path.relative_to(ROOT / "configs")
        child.write_text(f"_base_ = ['mmswinv2::{name}']\n")
        assert Config.fromfile(child).to_dict() == Config.fromfile(path).to_dict(), name


def test_other_packages_keep_their_scope(tmp_path: Path) -> None:
    """Config._get_cfg_path: what MMEngine does for MMDetection and MMSegmentation stays."""
    child = tmp_path / "child.py"
    for name, scope in ((STOCK, "mmseg"), ("mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", "mmdet")):
        child.write_text(f"_base_ = [{name!r}]\n")
        assert Config.fromfile(child).model._scope_ == scope


@pytest.mark.parametrize(
    ("distribution", "stays"), [("torch", "torch"), ("no-such-distribution", "mmseg")], ids=["there", "absent"]
)
def test_a_distribution_that_is_there_keeps_its_name(distribution: str, stays: str) -> None:
    """MODULE2PACKAGE: beside upstream's own packages MMEngine's entry for mmseg is left as it is."""
    assert {"mmdet", "mmseg"} < set(MODULE2PACKAGE)
    packages = {"mmdet": "mmdet", "mmseg": distribution}
    name_packages(packages)
    assert packages == {"mmdet": "mmdet", "mmseg": stays, "mmswinv2": "mmswinv2.upstream"}
