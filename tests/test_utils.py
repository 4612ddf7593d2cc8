"""``mmengine.hub.get_model`` builds the recipes, and what it calls by name registers everything."""

import subprocess
import sys

import pytest
import torch
from mmdet.models.detectors import CascadeRCNN, MaskRCNN
from mmengine.hub import get_model
from mmengine.registry import DefaultScope
from mmseg.models.segmentors import EncoderDecoder
from torch import nn

from mmswinv2 import ImageClassifier, SimMIM, SwinTransformerV2

REGISTERED = """
from mmswinv2 import registry
from mmswinv2.utils import register_all_modules

register_all_modules()
registries = [value for value in vars(registry).values() if getattr(value, "scope", None) == "mmswinv2"]
assert registries and all(len(registry) for registry in registries), registries
"""


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py", MaskRCNN),
        ("cascade_mask_rcnn/cascade-mask-rcnn_swinv2-t-w16_fpn_ms-3x_coco.py", CascadeRCNN),
        ("upernet/upernet_swinv2-t-w8_8xb2-160k_ade20k-512x512.py", EncoderDecoder),
        ("imagenet/swinv2-t-w8_8xb128-300e_in1k-256px.py", ImageClassifier),
        ("simmim/simmim_swinv2-b-w12_16xb128-800e_in1k-192px.py", SimMIM),
        ("demo/mask-rcnn_swinv2_nuclei.py", MaskRCNN),  # no metafile lists the demos
    ],
)
def test_hub_builds_a_recipe(recipe: str, kind: type[nn.Module]) -> None:
    """Under this package's scope, where MMDetection's and MMSegmentation's types have no meaning of their own."""
    before = DefaultScope.get_current_instance()
    with torch.device("meta"):
        model = get_model(f"mmswinv2::{recipe}")
    assert type(model) is kind
    assert isinstance(model.backbone, SwinTransformerV2)
    after = DefaultScope.get_current_instance()
    assert (before and before.scope_name) == (after and after.scope_name)


def test_all_registries_are_filled() -> None:
    """In a process of its own: here other tests have registered what they needed."""
    subprocess.run([sys.executable, "-c", REGISTERED], check=True, timeout=120)


def test_scope_is_set_only_when_asked_for() -> None:
    """MMEngine's own packages change the default scope at this call; the recipes bring theirs."""
    from mmswinv2.utils import register_all_modules

    with DefaultScope.overwrite_default_scope("mmengine"):
        register_all_modules()
        assert DefaultScope.get_current_instance().scope_name == "mmengine"
        register_all_modules(init_default_scope=True)
        assert DefaultScope.get_current_instance().scope_name == "mmswinv2"
