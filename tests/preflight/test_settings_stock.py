"""No config that works raises an alarm: the recipes, the demos, and those that MMDetection and MMSegmentation ship."""

from pathlib import Path

import mmdet
import mmseg
import pytest
from mmengine.config import Config

from mmswinv2.errors import ConfigError
from mmswinv2.preflight import check_settings

from ..support import ROOT

RECIPES = sorted((ROOT / "configs").glob("[!_]*/*.py"))
TINY = sorted((ROOT / "tests/cli").glob("tiny_*.py"))


# What they get wrong themselves: a class or a key that is not there any more, or a key that nothing reads.
WRONG = (
    "bytetrack_yolox_x_8xb4-80e_crowdhuman-mot20train_test-mot20test",  # MOTChallengeMetrics
    "bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot20train_test-mot20test",
    "cascade-rpn_r50-caffe_fpn_1x_coco",  # sampling
    "solov2-light_r18_fpn_ms-3x_coco",  # type and by_epoch, as in all configs of SOLOv2-light
    "solov2-light_r50-dcn_fpn_ms-3x_coco",
    "bisenetv2_fcn_4xb4-ohem-160k_cityscapes-1024x1024",  # models
    "fcos_swinb_fpn_8x4_sample1e-3_mstrain_v3det_2x",  # force_grad_on_level
)


def shipped(package: object, every: int) -> list[Path]:
    """Some of the configs that a package ships."""
    folder = Path(package.__file__).parent / ".mim/configs"
    return [path for path in sorted(folder.glob("[!_]*/*.py"))[::every] if path.stem not in WRONG]


@pytest.mark.parametrize("path", [*RECIPES, *TINY], ids=lambda path: path.stem)
def test_recipes_pass(path: Path) -> None:
    assert check_settings(Config.fromfile(path)) == []


@pytest.mark.parametrize(
    "path", [*shipped(mmdet, 100), *shipped(mmseg, 100)], ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_shipped_configs_pass(path: Path) -> None:
    """Unless they are parts of a config, or need packages that are not there."""
    try:
        config = Config.fromfile(path)
    except ImportError as error:
        pytest.skip(str(error))
    if config.get("model") is None or "mmpretrain" in config.pretty_text:
        pytest.skip("a part of a config, or one for mmpretrain")
    check_settings(config)


def test_a_mistake_that_is_shipped_is_found() -> None:
    """This config means to train with hard examples, and does not: it says models in the place of model."""
    path = Path(mmseg.__file__).parent / ".mim/configs/bisenetv2/bisenetv2_fcn_4xb4-ohem-160k_cityscapes-1024x1024.py"
    with pytest.raises(ConfigError, match=r"models: nothing reads this key; did you mean 'model'\?"):
        check_settings(Config.fromfile(path))
