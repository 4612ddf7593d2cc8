"""The shipped recipes run for real: two iterations of training, then evaluation, on real images.

Only this is changed of a recipe: roots and file names; sizes (images, architecture, heads, samples, iterations,
workers); the score threshold, 0 because the model is untrained; and the precision, to one that a CPU has.
"""

import json
from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from ..support import FIXTURES, ROOT, shared_data

SHRINK = 8  # image sizes are divided by it
SIZE_KEYS = ("scale", "scales", "crop_size", "size", "stride")
ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8))
CHANNELS = [16, 32, 64, 128]

DETECTION = [
    "mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco",
    "mask_rcnn/mask-rcnn_swinv2-s-w16_fpn_amp-ms-crop-3x_coco",
    "cascade_mask_rcnn/cascade-mask-rcnn_swinv2-t-w16_fpn_ms-3x_coco",
]
SEGMENTATION = [
    "upernet/upernet_swinv2-t-w16_8xb2-160k_ade20k-512x512",
    "upernet/upernet_swinv2-l-w40_8xb8-amp-40k_ade20k-640x640",
]


def nodes(value: object) -> Iterator[dict]:
    """Every dict inside a config."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from nodes(item)


def shrink_images(part: object) -> None:
    def smaller(size: object) -> object:
        return size // SHRINK if isinstance(size, int) else type(size)(map(smaller, size))

    for node in nodes(part):
        for key in SIZE_KEYS:
            if key in node:
                node[key] = smaller(node[key])


def shrink(cfg: Config, work_dir: Path) -> None:
    """Sizes that every recipe has."""
    cfg.work_dir = str(work_dir)
    cfg.visualizer.name = cfg.experiment_name = work_dir.name
    cfg.model.backbone.arch = ARCH
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    for loader in loaders:
        loader.update(num_workers=0, persistent_workers=False)
        shrink_images(loader.dataset.pipeline)
    shrink_images(cfg.tta_pipeline)


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Config]:
    def load(recipe: str) -> Config:
        monkeypatch.setenv("COCO_ROOT", str(FIXTURES / "coco"))
        cfg = Config.fromfile(ROOT / f"configs/{recipe}.py")
        shrink(cfg, tmp_path)
        for node in nodes(cfg.model):
            node.update({key: 16 for key in ("num", "nms_pre", "max_per_img") if key in node})
            node.update({key: 32 for key in node if key.endswith("channels") and isinstance(node[key], int)})
        cfg.model.neck.in_channels = CHANNELS
        cfg.model.test_cfg.rcnn.score_thr = 0.0
        cfg.train_cfg.max_epochs = 1
        cfg.train_dataloader.batch_size = 3  # 6 images with objects: two iterations
        if cfg.optim_wrapper.type == "AmpOptimWrapper" and not torch.cuda.is_available():
            cfg.optim_wrapper = {**cfg.optim_wrapper, "type": "OptimWrapper"}
            del cfg.optim_wrapper["dtype"], cfg.optim_wrapper["loss_scale"]  # a CPU has no float16
        return cfg

    return load


@pytest.fixture
def segmentor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Config]:
    def load(recipe: str) -> Config:
        monkeypatch.setenv("ADE20K_ROOT", str(shared_data("ade20k_samples")))
        cfg = Config.fromfile(ROOT / f"configs/{recipe}.py")
        shrink(cfg, tmp_path)
        shrink_images([cfg.model.data_preprocessor, cfg.model.test_cfg])
        cfg.model.decode_head.update(in_channels=CHANNELS, channels=32)
        cfg.model.auxiliary_head.update(in_channels=CHANNELS[2], channels=32)
        cfg.train_dataloader.batch_size = 2
        cfg.train_dataloader.dataset.data_prefix = cfg.val_dataloader.dataset.data_prefix
        cfg.train_cfg.update(max_iters=2, val_interval=2)
        # MMEngine refuses AmpOptimWrapper without a GPU, though autocast to bfloat16 works on a CPU.
        monkeypatch.setattr("mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available", lambda: True)
        return cfg

    return load


def train_and_evaluate(cfg: Config) -> dict[str, float]:
    """Metrics after two iterations; checks that the loss is finite and the backbone learns."""
    runner = Runner.from_cfg(cfg)
    weight = runner.model.backbone.patch_embed.proj.weight
    before = weight.detach().clone()
    runner.train()
    assert runner.iter == 2
    assert isfinite(runner.message_hub.get_scalar("train/loss").current())
    assert weight.isfinite().all()
    assert not torch.equal(weight, before)
    return {key: log.current() for key, log in runner.message_hub.log_scalars.items() if key.startswith("val/")}


@pytest.mark.parametrize("split", ["train", "val"])
def test_fixture_has_the_hard_cases_of_coco(split: str) -> None:
    """80 categories, a crowd and an image without objects, in each split; all files there."""
    coco = json.loads((FIXTURES / f"coco/annotations/instances_{split}2017.json").read_text())
    assert len(coco["categories"]) == 80
    assert any(annotation["iscrowd"] for annotation in coco["annotations"])
    ids = {image["id"] for image in coco["images"]}
    assert ids > {annotation["image_id"] for annotation in coco["annotations"]}
    assert all((FIXTURES / f"coco/{split}2017" / image["file_name"]).is_file() for image in coco["images"])


@pytest.mark.parametrize("recipe", DETECTION)
def test_detection_recipe_trains_and_evaluates(recipe: str, detector: Callable[[str], Config]) -> None:
    """COCO format with crowds and images without objects: box and mask AP come out."""
    metrics = train_and_evaluate(detector(recipe))
    assert 0 <= metrics["val/coco/bbox_mAP"] <= 1
    assert 0 <= metrics["val/coco/segm_mAP"] <= 1


@pytest.mark.parametrize("recipe", SEGMENTATION)
def test_segmentation_recipe_trains_and_evaluates(recipe: str, segmentor: Callable[[str], Config]) -> None:
    """ADE20K format, 150 classes: mIoU comes out, whole images at 512 and sliding windows at 640."""
    assert 0 <= train_and_evaluate(segmentor(recipe))["val/mIoU"] <= 100


def test_boxes_are_evaluated_with_augmentation_at_test_time(detector: Callable[[str], Config]) -> None:
    """The recipe's tta_model and tta_pipeline, with the two options that its comment names."""
    cfg = detector(DETECTION[0])
    cfg.merge_from_dict({"model.roi_head.mask_head": None, "test_evaluator.metric": "bbox"})
    assert 0 <= augmented_test(cfg)["coco/bbox_mAP"] <= 1


def test_labels_are_evaluated_with_augmentation_at_test_time(segmentor: Callable[[str], Config]) -> None:
    """The recipe's tta_model and tta_pipeline: six scales, flipped and not."""
    cfg = segmentor(SEGMENTATION[0])
    cfg.test_dataloader.dataset.indices = [2]  # the smallest image: twelve maps of 150 classes at its full size
    assert 0 <= augmented_test(cfg)["mIoU"] <= 100


def augmented_test(cfg: Config) -> dict[str, float]:
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    return Runner.from_cfg(cfg).test()


def test_one_option_turns_whole_into_sliding_inference(segmentor: Callable[[str], Config]) -> None:
    """--cfg-options model.test_cfg.mode=slide: crop and stride are there already."""
    cfg = segmentor(SEGMENTATION[0])
    cfg.merge_from_dict({"model.test_cfg.mode": "slide"})
    runner = Runner.from_cfg(cfg)
    calls = []
    slide = runner.model.slide_inference
    runner.model.slide_inference = lambda *args: calls.append(args) or slide(*args)
    assert 0 <= runner.test()["mIoU"] <= 100
    assert len(calls) == 3
