"""The shipped recipes run for real: two iterations of training, then evaluation, on real images.

Only this is changed of a recipe: roots and file names; sizes (images, architecture, heads, samples, iterations,
workers); the score threshold, 0 because the model is untrained; and the precision, to one that a CPU has.
"""

import json
import re
import shlex
import shutil
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.datasets import Objects365V2Dataset
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from PIL import Image
from pycocotools.coco import COCO

from mmswinv2.checkpoint import read_checkpoint

from ..support import FIXTURES, ROOT, shared_data

SHRINK = 8  # image sizes are divided by it
SIZE_KEYS = ("scale", "scales", "crop_size", "size", "stride")
ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8))
CHANNELS = [16, 32, 64, 128]

DETECTION = [
    "mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco",
    pytest.param("mask_rcnn/mask-rcnn_swinv2-s-w16_fpn_amp-ms-crop-3x_coco", marks=pytest.mark.full),
    pytest.param("cascade_mask_rcnn/cascade-mask-rcnn_swinv2-t-w16_fpn_ms-3x_coco", marks=pytest.mark.full),
    pytest.param(HTC := "htc/htc++_swinv2-l-w32_fpn_32xb2-3x_coco-1536x1536", marks=pytest.mark.full),
]
ON_OBJECTS365 = "htc/htc++_swinv2-g-w32_fpn_96xb1-67500it_objects365v2"
FROM_OBJECTS365 = "htc/htc++_swinv2-g-w32_fpn_96xb1-45k_coco-1536x1536"
SEGMENTATION = [
    "upernet/upernet_swinv2-t-w16_8xb2-160k_ade20k-512x512",
    "upernet/upernet_swinv2-l-w40_8xb8-amp-40k_ade20k-640x640",
    pytest.param(UPERNET_GIANT := "upernet/upernet_swinv2-g-w40_32xb1-80k_ade20k-640x640", marks=pytest.mark.full),
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
        monkeypatch.setenv("COCO_ROOT", str(write_coco_with_stuff(tmp_path / "coco")))
        monkeypatch.setenv("OBJECTS365_ROOT", str(tmp_path / "objects365"))
        cfg = Config.fromfile(ROOT / f"configs/{recipe}.py")
        shrink(cfg, tmp_path / Path(recipe).name)
        shrink_images(cfg.model.data_preprocessor)
        for node in nodes(cfg.model):
            node.update({key: 16 for key in ("num", "nms_pre", "max_per_img") if key in node})
            node.update({key: 32 for key in node if key.endswith("channels") and isinstance(node[key], int)})
        cfg.model.neck.in_channels = CHANNELS
        cfg.model.test_cfg.rcnn.score_thr = 0.0
        cfg.train_cfg.update(dict(max_iters=2, val_interval=2) if "max_iters" in cfg.train_cfg else dict(max_epochs=1))
        cfg.train_dataloader.batch_size = 3  # 6 images with objects: two iterations
        if cfg.optim_wrapper.type == "AmpOptimWrapper" and not torch.cuda.is_available():
            cfg.optim_wrapper = {**cfg.optim_wrapper, "type": "OptimWrapper"}
            del cfg.optim_wrapper["dtype"], cfg.optim_wrapper["loss_scale"]  # a CPU has no float16
        return cfg

    return load


@pytest.fixture
def segmentor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Config]:
    def load(recipe: str, **options: object) -> Config:
        monkeypatch.setenv("ADE20K_ROOT", str(shared_data("ade20k_samples")))
        cfg = Config.fromfile(ROOT / f"configs/{recipe}.py")
        cfg.merge_from_dict(options)
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


def write_coco_with_stuff(root: Path) -> Path:
    """The fixture with label maps as COCO-stuff has them, of things alone: their category less 1, 255 elsewhere."""
    if not root.exists():
        shutil.copytree(FIXTURES / "coco", root)
        coco = COCO(root / "annotations/instances_train2017.json")
        folder = root / "stuffthingmaps/train2017"
        folder.mkdir(parents=True)
        for image in coco.imgs.values():
            label_map = np.full((image["height"], image["width"]), 255, np.uint8)
            for annotation in coco.imgToAnns[image["id"]]:
                label_map[coco.annToMask(annotation) > 0] = annotation["category_id"] - 1
            Image.fromarray(label_map).save(folder / Path(image["file_name"]).with_suffix(".png"))
    return root


def write_objects365(root: Path, coco: Path) -> None:
    """COCO's images and boxes in the form of Objects365 v2, its 365 categories without masks."""
    categories = [dict(id=i, name=name) for i, name in enumerate(Objects365V2Dataset.METAINFO["classes"], 1)]
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        data = json.loads((coco / f"annotations/instances_{split}2017.json").read_text())
        for image in data["images"]:
            image["file_name"] = f"images/v2/patch0/{image['file_name']}"
        for annotation in data["annotations"]:
            del annotation["segmentation"]
        shutil.copytree(coco / f"{split}2017", root / split / "patch0")
        data["categories"] = categories
        (root / f"annotations/zhiyuan_objv2_{split}.json").write_text(json.dumps(data))


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


@pytest.mark.full
def test_giant_goes_on_from_objects365_to_coco(detector: Callable[[str], Config], tmp_path: Path) -> None:
    """365 classes without masks, then 80 with masks and stuff: all but classifiers and masks is taken over."""
    cfg = detector(ON_OBJECTS365)
    write_objects365(tmp_path / "objects365", tmp_path / "coco")
    assert 0 <= train_and_evaluate(cfg)["val/coco/bbox_mAP"] <= 1
    before = tmp_path / Path(ON_OBJECTS365).name / "iter_2.pth"

    cfg = detector(FROM_OBJECTS365)
    cfg.load_from = str(before)
    cfg.optim_wrapper.optimizer.lr = 0.0  # what is taken over stays
    cfg.optim_wrapper.optimizer.weight_decay = 0.0
    runner = Runner.from_cfg(cfg)
    runner.train()
    old, new = read_checkpoint(str(before)).content["state_dict"], runner.model.state_dict()
    anew = [key for key in new if key not in old or not torch.equal(old[key], new[key])]
    assert {re.sub(r"\.\d\.", ".*.", key) for key in anew if "bbox_head" in key} == {
        "roi_head.bbox_head.*.fc_cls.weight",
        "roi_head.bbox_head.*.fc_cls.bias",
    }
    assert {".".join(key.split(".")[:2]) for key in anew} == {
        "roi_head.bbox_head",
        "roi_head.mask_head",
        "roi_head.semantic_head",
    }


@pytest.mark.parametrize("recipe", SEGMENTATION)
def test_segmentation_recipe_trains_and_evaluates(recipe: str, segmentor: Callable[[str], Config]) -> None:
    """ADE20K format, 150 classes: mIoU comes out, whole images at 512 and sliding windows at 640."""
    assert 0 <= train_and_evaluate(segmentor(recipe))["val/mIoU"] <= 100


def test_narrow_image_at_a_tenth_is_learnt_from() -> None:
    """Multi-scale training makes 154 x 12 px of an image, which hold no anchor as a whole."""
    model = Config.fromfile(ROOT / f"configs/{HTC}.py").model
    with DefaultScope.overwrite_default_scope("mmdet"):
        head = MODELS.build(dict(model.rpn_head, train_cfg=model.train_cfg.rpn, test_cfg=model.test_cfg.rpn))
    objects = InstanceData(bboxes=torch.tensor([[10.0, 2.0, 30.0, 10.0]]), labels=torch.tensor([0]))
    image = DetDataSample(gt_instances=objects, metainfo=dict(img_shape=(12, 154), pad_shape=(64, 192)))
    maps = [torch.randn(1, 256, 64 // stride, 192 // stride) for stride in (4, 8, 16, 32, 64)]
    losses = head.loss(maps, [image])
    assert all(loss.isfinite() for level in losses.values() for loss in level)


def test_larger_test_window_of_the_comment_is_tested(segmentor: Callable[..., Config]) -> None:
    """Size and window of the second test of the paper's table 4, by the options that the recipe names."""
    comment = (ROOT / f"configs/{UPERNET_GIANT}.py").read_text().split("# Tested at 896 px")[1].split("# ImageNet")[0]
    parser = ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    words = shlex.split(comment.replace("\n#", " "))
    options = parser.parse_args(words[words.index("--cfg-options") :]).cfg_options
    cfg = segmentor(UPERNET_GIANT, **options)
    assert cfg.model.backbone.window_size == 56
    runner = Runner.from_cfg(cfg)
    sizes = set()
    encode = runner.model.encode_decode
    runner.model.encode_decode = lambda crop, metas: sizes.add(crop.shape[-2:]) or encode(crop, metas)
    assert 0 <= runner.test()["mIoU"] <= 100
    assert sizes == {(896 // SHRINK, 896 // SHRINK)}


def test_boxes_are_evaluated_with_augmentation_at_test_time(detector: Callable[[str], Config]) -> None:
    """The recipe's tta_model and tta_pipeline, with the two options that its comment names."""
    cfg = detector(DETECTION[0])
    cfg.merge_from_dict({"model.roi_head.mask_head": None, "test_evaluator.metric": "bbox"})
    assert 0 <= augmented_test(cfg)["coco/bbox_mAP"] <= 1


@pytest.mark.full
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
