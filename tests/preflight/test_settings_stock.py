"""No config that works raises an alarm: the recipes, the demos, and those that MMDetection and MMSegmentation ship."""

from pathlib import Path

import mmdet
import mmseg
import pytest
from mmengine.config import Config

from mmswinv2.preflight import check_settings

from ..support import ROOT

RECIPES = sorted((ROOT / "configs").glob("[!_]*/*.py"))
TINY = sorted((ROOT / "tests/cli").glob("tiny_*.py"))


def shipped(package: object, every: int) -> list[Path]:
    """Some of the configs that a package ships."""
    folder = Path(package.__file__).parent / ".mim/configs"
    return sorted(folder.glob("[!_]*/*.py"))[::every]


@pytest.mark.parametrize("path", [*RECIPES, *TINY], ids=lambda path: path.stem)
def test_recipes_pass(path: Path) -> None:
    assert check_settings(Config.fromfile(path)) == []
