"""``mmswinv2.layers`` needs nothing but torch."""

import subprocess
import sys

from ..support import ROOT

SCRIPT = """
import sys

class OpenMMLab:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"mmengine", "mmcv", "mmdet", "mmseg", "timm", "torchvision", "transformers"}:
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, OpenMMLab())
import torch
from mmswinv2 import layers
stage = layers.SwinV2Stage(16, 2, 2, (4, 4), [0.0, 0.1])
print(tuple(stage(torch.randn(63, 16), 1, (7, 9), torch.tensor([4, 4])).shape))
try:
    from mmswinv2 import SwinTransformerV2
except ImportError as error:
    print(error)
"""


def test_layers_run_where_openmmlab_is_not_installed() -> None:
    """In a process that cannot import it; the backbone, which can not do without, says so."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["(63, 16)", "mmengine is not installed"]
