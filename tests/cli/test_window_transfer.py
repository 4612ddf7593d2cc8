"""Weights of window 8 trained on at window 16: every way back to the checkpoint gives the same model.

What could get lost on the way is the pretrained window, which changes the position bias and raises no error.
"""

import pickle
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.runner import Runner
from safetensors.torch import save_file
from torch import Tensor

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.checkpoint.forms import Timm

from .. import reference
from ..tiny_nuclei import write_tiny_nuclei
from .support import CONFIGS, run_tool

ARCH = {"embed_dims": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
CONFIG = """
_base_ = "{base}"
model = dict(backbone=dict(window_size=16, init_cfg=dict(type="Pretrained", checkpoint="{checkpoint}")))
train_cfg = dict(max_iters=2, val_interval=2)
custom_hooks = [dict(type="EMAHook")]
"""


class Run(NamedTuple):
    """A finished training: its folder, config, checkpoint file, and what a plain load of it computes."""

    folder: Path
    config: Path
    checkpoint: Path
    expected: list[Tensor]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two iterations at window 16 from weights of window 8, named as timm names its release."""
    folder = tmp_path_factory.mktemp("transfer")
    write_tiny_nuclei(folder / "data")
    release = folder / "swinv2_tiny_window8_256.safetensors"
    weights = reference.randomize_(SwinTransformerV2(ARCH, window_size=8, out_indices=(3,))).state_dict()
    del weights["pretrained_window_sizes"]
    save_file(Timm().from_native(weights), release)
    config = folder / "config.py"
    config.write_text(CONFIG.format(base=CONFIGS / "tiny_mask_rcnn.py", checkpoint=release))
    result = run_tool("train.py", config, "--work-dir", folder / "work", root=folder / "data", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "8, 8, 8, 8, told by the name swinv2_tiny_window8_256" in result.stdout + result.stderr
    checkpoint = folder / "work/iter_2.pth"
    return Run(folder, config, checkpoint, plain_features(checkpoint, "state_dict", "backbone."))


def features(backbone: torch.nn.Module) -> list[Tensor]:
    """Features of one image whose map of 25 x 22 tokens has several windows of 16."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return list(backbone.eval()(torch.randn(1, 3, 100, 88, generator=generator)))


def plain_features(checkpoint: Path, key: str, prefix: str) -> list[Tensor]:
    """Features of a fresh model of window 16 given the weights by PyTorch's own ``load_state_dict``."""
    weights = read_checkpoint(str(checkpoint)).content[key]
    model = SwinTransformerV2(ARCH, window_size=16)
    model.load_state_dict(reference.subset(weights, prefix))
    return features(model)


def assert_identical(actual: list[Tensor], expected: list[Tensor]) -> None:
    assert all(torch.equal(x, y) for x, y in zip(actual, expected, strict=True))


def test_the_pretrained_window_matters_here(run: Run) -> None:
    """With the window itself as the pretrained one the features are others: what follows can fail."""
    weights = reference.subset(read_checkpoint(str(run.checkpoint)).content["state_dict"], "backbone.")
    assert weights.pop("pretrained_window_sizes").tolist() == [[8, 8]] * 4
    model = SwinTransformerV2(ARCH, window_size=16)
    model.load_state_dict(weights)
    assert (features(model)[0] - run.expected[0]).abs().max() > 1e-3


def test_init_detector_takes_the_pretrained_window(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_ROOT", str(run.folder / "data"))
    model = init_detector(str(run.config), str(run.checkpoint), device="cpu")
    assert_identical(features(model.backbone), run.expected)


def test_resumed_and_averaged_weights_keep_the_pretrained_window(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run has its own weights in the model and the averaged ones, which files call state_dict, beside it."""
    monkeypatch.setenv("TINY_ROOT", str(run.folder / "data"))
    cfg = Config.fromfile(run.config)
    cfg.update(
        work_dir=str(run.folder / "resumed"), resume=True, load_from=str(run.checkpoint), experiment_name="resumed"
    )
    runner = Runner.from_cfg(cfg)
    runner.train()  # at the last iteration already: loads, and does no step
    assert runner.iter == 2
    own = plain_features(run.checkpoint, "ema_state_dict", "module.backbone.")
    assert_identical(features(runner.model.backbone), own)
    averaged = next(hook for hook in runner.hooks if hasattr(hook, "ema_model")).ema_model.module
    assert_identical(features(averaged.backbone), run.expected)


def test_the_test_tool_takes_the_pretrained_window(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its predictions are those of ``init_detector``, which never calls ``init_weights``."""
    monkeypatch.setenv("TINY_ROOT", str(run.folder / "data"))
    out = run.folder / "predictions.pkl"
    options = ("--work-dir", run.folder / "test", "--out", out)
    result = run_tool("test.py", run.config, run.checkpoint, *options, root=run.folder / "data", cwd=run.folder)
    assert result.returncode == 0, result.stderr
    model = init_detector(str(run.config), str(run.checkpoint), device="cpu")
    for prediction in pickle.loads(out.read_bytes()):
        expected = inference_detector(model, prediction["img_path"]).pred_instances
        assert len(expected) > 0
        torch.testing.assert_close(prediction["pred_instances"]["bboxes"], expected.bboxes, atol=1e-3, rtol=0)
        torch.testing.assert_close(prediction["pred_instances"]["scores"], expected.scores, atol=1e-5, rtol=0)
