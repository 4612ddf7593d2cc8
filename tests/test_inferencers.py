"""Configs and checkpoints work in the inferencers of MMDetection and MMSegmentation with no extra import.

Every checkpoint here was trained with another window than its config runs with, and only the checkpoint says so:
the case in which a forgotten window gives wrong results and no error.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.hooks import EMAHook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner, save_checkpoint
from mmseg.apis import inference_model, init_model
from mmseg.utils import get_classes, get_palette
from torch import Tensor, nn
from torch.testing import assert_close

from mmswinv2.checkpoint import read_checkpoint

from . import stock_inference
from .stock_data import DETECTION_CLASSES, IMAGES, NUCLEI
from .stock_inference import predicted_tensors
from .stock_models import CHANNELS, INPUT_SIZE, Swap, built_model, swapped_config

NUM_CLASSES = len(DETECTION_CLASSES)
MASK_RCNN = Swap(
    "mmdet",
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
    {"neck": {"in_channels": CHANNELS}},
    sizes={"model.roi_head.bbox_head.num_classes": NUM_CLASSES, "model.roi_head.mask_head.num_classes": NUM_CLASSES},
)
UPERNET = Swap(
    "mmseg",
    "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
    {"decode_head": {"in_channels": CHANNELS}, "auxiliary_head": {"in_channels": CHANNELS[2]}},
)
IMAGE = str(NUCLEI / "val/0d3640c1f1b80f24.jpg")  # 256 x 320 px
TRAINED_WINDOW = 3  # the configs run with 4
LARGER_WINDOW, LARGER_SCALE = 6, (210, 170)


class Saved(NamedTuple):
    """A config file, a checkpoint for it, and the model that was saved, in evaluation mode."""

    package: str
    config: Path
    checkpoint: Path
    model: nn.Module

    def init(self, **options: Any) -> nn.Module:
        """The package's own way from config and checkpoint to a model."""
        init = init_detector if self.package == "mmdet" else init_model
        return init(self.config, str(self.checkpoint), device="cpu", **options)

    def infer(self, model: nn.Module) -> dict[str, Tensor]:
        """The package's own prediction for the test image."""
        infer = inference_detector if self.package == "mmdet" else inference_model
        return predicted_tensors(infer(model, IMAGE))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return save_trained(tmp_path_factory.mktemp("detector"), MASK_RCNN, {"classes": DETECTION_CLASSES})


@pytest.fixture(scope="module")
def segmentor(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    dataset_meta = {"classes": get_classes("ade20k"), "palette": get_palette("ade20k")}
    return save_trained(tmp_path_factory.mktemp("segmentor"), UPERNET, dataset_meta)


@pytest.fixture(params=["detector", "segmentor"])
def saved(request: pytest.FixtureRequest) -> Saved:
    return request.getfixturevalue(request.param)


def save_trained(folder: Path, swap: Swap, dataset_meta: dict) -> Saved:
    """Saves a model whose position bias has a window of its own, and a config that does not name that window."""
    torch.manual_seed(0)
    config = swapped_config(folder, swap)
    config.test_pipeline[1].scale = INPUT_SIZE[::-1]
    config.test_dataloader.dataset.pipeline = config.test_pipeline
    path = folder / "config.py"
    config.dump(path)
    config.model.backbone.pretrained_window_sizes = TRAINED_WINDOW
    with built_model(config) as model:
        enlarge_position_bias(model.backbone)
    checkpoint = folder / "checkpoint.pth"
    save_checkpoint({"state_dict": model.state_dict(), "meta": {"dataset_meta": dataset_meta}}, str(checkpoint))
    return Saved(swap.package, path, checkpoint, model.eval())


def enlarge_position_bias(backbone: nn.Module) -> None:
    """Makes the position bias matter: at initialisation it is almost the same for every offset."""
    for name, parameter in backbone.named_parameters():
        if "cpb_mlp" in name:
            nn.init.normal_(parameter, std=0.5)


def direct_predictions(model: nn.Module, config: Config) -> dict[str, Tensor]:
    """What the model predicts without any inferencer between: the config's test pipeline, then the model."""
    with DefaultScope.overwrite_default_scope(config.default_scope), torch.no_grad():
        pipeline = Compose([step for step in config.test_pipeline if step.type != "LoadAnnotations"])
        return predicted_tensors(model.test_step(pseudo_collate([pipeline({"img_path": IMAGE, "img_id": 0})]))[0])


@pytest.mark.parametrize("saved", ["detector", pytest.param("segmentor", marks=pytest.mark.full)], indirect=True)
def test_inferencers_give_the_saved_models_results_without_an_import(saved: Saved, tmp_path: Path) -> None:
    """In a fresh process both interfaces find the backbone by its type, and its window in the checkpoint."""
    out = tmp_path / "predictions.pth"
    paths = [saved.config, saved.checkpoint, IMAGE, out]
    command = [sys.executable, stock_inference.__file__, saved.package, *map(str, paths)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

    expected = direct_predictions(saved.model, Config.fromfile(saved.config))
    through_function, through_inferencer = torch.load(out, weights_only=True)
    assert_close(through_function, expected)
    assert_close(through_inferencer, expected)


def test_results_depend_on_the_trained_window(saved: Saved) -> None:
    """Guards the tests of this file: with the config's window in place of the checkpoint's, results differ."""
    model = saved.init()
    right = saved.infer(model)
    model.backbone.pretrained_window_sizes.fill_(4)
    with pytest.raises(AssertionError):
        assert_close(saved.infer(model), right)


def test_window_and_resolution_change_by_cfg_options(saved: Saved) -> None:
    """A larger window at a larger size gives what a model built so gives with the same weights."""
    config = Config.fromfile(saved.config)
    config.model.backbone.window_size = LARGER_WINDOW
    config.test_pipeline[1].scale = LARGER_SCALE
    with built_model(config) as model:
        model.load_state_dict(saved.model.state_dict())
    expected = direct_predictions(model.eval(), config)

    options = {
        "model.backbone.window_size": LARGER_WINDOW,
        "test_pipeline.1.scale": LARGER_SCALE,
        "test_dataloader.dataset.pipeline.1.scale": LARGER_SCALE,
    }
    changed = saved.init(cfg_options=options)
    assert changed.backbone.window_sizes == ((LARGER_WINDOW, LARGER_WINDOW),) * 4
    assert changed.backbone.pretrained_window_sizes.tolist() == [[TRAINED_WINDOW] * 2] * 4
    assert_close(saved.infer(changed), expected)
    with pytest.raises(AssertionError):
        assert_close(expected, direct_predictions(saved.model, Config.fromfile(saved.config)))


def test_window_that_contradicts_the_checkpoint_is_an_error(saved: Saved) -> None:
    """MMEngine loads non-strictly and only warns of mismatches; a wrong bias must not pass so."""
    with pytest.raises(ValueError, match=r"pretrained_window_sizes.*contradicts the checkpoint"):
        saved.init(cfg_options={"model.backbone.pretrained_window_sizes": 4})


def test_same_window_said_explicitly_is_accepted(saved: Saved) -> None:
    """Naming the window that the checkpoint has changes nothing."""
    model = saved.init(cfg_options={"model.backbone.pretrained_window_sizes": TRAINED_WINDOW})
    assert_close(saved.infer(model), saved.infer(saved.init()))


@pytest.mark.parametrize("update_buffers", [False, pytest.param(True, marks=pytest.mark.full)])
def test_trained_window_survives_training_with_ema(detector: Saved, tmp_path: Path, update_buffers: bool) -> None:
    """From pretrained weights through EMA's swaps into both halves of the checkpoint, with results to match.

    MMEngine swaps weights in place in a way that leaves no trace on the tensors, so a bias kept from before the
    swap would show here.
    """
    runner = Runner.from_cfg(ema_training(detector, tmp_path, update_buffers))
    runner.train()
    averaged = next(hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook))
    checkpoint = read_checkpoint(str(tmp_path / "iter_2.pth")).content
    trained = [[TRAINED_WINDOW] * 2] * 4
    assert checkpoint["state_dict"]["backbone.pretrained_window_sizes"].tolist() == trained
    assert checkpoint["ema_state_dict"]["module.backbone.pretrained_window_sizes"].tolist() == trained

    config = Config.fromfile(detector.config)
    # The file keeps the weights as trained under the name of the averaged ones.
    trained_state = {
        key.removeprefix("module."): value
        for key, value in checkpoint["ema_state_dict"].items()
        if key.startswith("module.")
    }
    for model, state in ((averaged, checkpoint["state_dict"]), (runner.model, trained_state)):
        with built_model(config) as fresh:
            fresh.load_state_dict(state)
        assert_close(direct_predictions(model.eval(), config), direct_predictions(fresh.eval(), config))


def ema_training(detector: Saved, work_dir: Path, update_buffers: bool) -> Config:
    """Two iterations from the detector's backbone weights, evaluated with EMA, on two images."""
    config = Config.fromfile(detector.config)
    weights = {"type": "Pretrained", "checkpoint": str(detector.checkpoint), "prefix": "backbone."}
    config.model.backbone.init_cfg = weights
    config.train_pipeline[2].scale = INPUT_SIZE[::-1]
    for loader, pipeline in (("train_dataloader", config.train_pipeline), ("val_dataloader", config.test_pipeline)):
        config[loader].update(num_workers=0, persistent_workers=False)
        config[loader].dataset.update(
            data_root=str(NUCLEI),
            ann_file="annotations/instances_train.json",
            data_prefix={"img": "train/"},
            metainfo={"classes": DETECTION_CLASSES},
            indices=IMAGES,
            pipeline=pipeline,
        )
    config.val_evaluator.ann_file = str(NUCLEI / "annotations/instances_train.json")
    config.test_dataloader = config.test_evaluator = config.test_cfg = None
    config.train_cfg = {"type": "IterBasedTrainLoop", "max_iters": 2, "val_interval": 2}
    config.param_scheduler = None  # the full learning rate from the first step
    # Large enough steps of the position bias that its average is clearly another.
    config.optim_wrapper.paramwise_cfg = {"custom_keys": {"cpb_mlp": {"lr_mult": 1000}}}
    config.default_hooks.checkpoint = {"type": "CheckpointHook", "by_epoch": False, "interval": 2}
    config.custom_hooks = [{"type": "EMAHook", "momentum": 0.5, "update_buffers": update_buffers}]
    config.work_dir = str(work_dir)
    return config
