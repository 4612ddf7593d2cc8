"""Every config of the repository loads, survives a dump, and builds a model whose parts fit together."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from ..support import ROOT

CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.parts)
RECIPES = [path for path in CONFIGS if path.parent.name in ("mask_rcnn", "cascade_mask_rcnn", "htc", "upernet")]
VARIANTS = {
    *(
        f"mask-rcnn_swinv2-{arch}-w{w}_fpn_{s}_coco"
        for arch in "tsb"
        for w in (8, 16)
        for s in ("1x", "amp-ms-crop-3x")
    ),
    *(f"cascade-mask-rcnn_swinv2-{arch}-w16_fpn_ms-3x_coco" for arch in "tsb"),
    *(f"upernet_swinv2-{arch}-w{w}_8xb2-160k_ade20k-512x512" for arch in "tsb" for w in (8, 16)),
    "upernet_swinv2-l-w40_8xb8-amp-40k_ade20k-640x640",
    "upernet_swinv2-g-w40_32xb1-80k_ade20k-640x640",
    "htc++_swinv2-l-w32_fpn_32xb2-3x_coco-1536x1536",
    "htc++_swinv2-g-w32_fpn_96xb1-67500it_objects365v2",
    "htc++_swinv2-g-w32_fpn_96xb1-45k_coco-1536x1536",
}
ARCHS = {"t": "tiny", "s": "small", "b": "base", "l": "large", "g": "giant"}
LENGTHS = {"1x": 12, "3x": 36, "40k": 40000, "45k": 45000, "67500it": 67500, "80k": 80000, "160k": 160000}


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def test_all_promised_recipes_exist() -> None:
    assert {path.stem for path in RECIPES} == VARIANTS


@each(CONFIGS)
def test_dumped_config_reloads_to_the_same(path: Path, tmp_path: Path) -> None:
    """What a run writes into its work dir is the config that ran."""
    config = Config.fromfile(path)
    config.dump(tmp_path / path.name)
    assert Config.fromfile(tmp_path / path.name).to_dict() == config.to_dict()


@each(CONFIGS)
def test_model_builds_and_its_parts_fit(path: Path) -> None:
    """Necks and heads take the channels that the backbone gives."""
    config = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(config.default_scope), torch.device("meta"):
        model = MODELS.build(config.model)
    channels = [model.backbone.arch.stage_dims[stage] for stage in model.backbone.out_indices]
    if hasattr(model, "neck"):
        assert list(model.neck.in_channels) == channels
    if config.model.get("decode_head"):
        assert list(model.decode_head.in_channels) == [channels[index] for index in model.decode_head.in_index]
    if config.model.get("auxiliary_head"):
        assert model.auxiliary_head.in_channels == channels[model.auxiliary_head.in_index]


@each([path for path in CONFIGS if path.parent.name not in ("demo", "analysis")])
def test_recipe_is_short(path: Path) -> None:
    """One that is made of parts has at most 30 lines, one that changes its sibling 5 to 12, comments included."""
    text = path.read_text()
    assert text.startswith("# "), "a comment at the top says what the recipe is and where it comes from"
    lines = len(text.splitlines())
    if "_base_ = [" in text:
        assert lines <= 30
    else:
        assert re.search(r'^_base_ = "\./\S+\.py"$', text, re.MULTILINE), "the base is a sibling in the same folder"
        assert 5 <= lines <= 12


@each(RECIPES)
def test_recipe_is_what_its_name_says(path: Path) -> None:
    """Architecture, window, schedule, precision and the optimizer groups of the name."""
    config = Config.fromfile(path)
    arch, window = path.stem.split("swinv2-")[1].split("_")[0].split("-w")
    assert config.model.backbone.arch == ARCHS[arch]
    assert config.model.backbone.window_size == int(window)
    assert config.optim_wrapper.constructor == "mmswinv2.LayerDecayOptimWrapperConstructor"
    assert config.optim_wrapper.type == ("AmpOptimWrapper" if "amp" in path.stem else "OptimWrapper")
    (length,) = [LENGTHS[word] for word in re.split("[_-]", path.stem) if word in LENGTHS]
    assert length == (config.train_cfg.get("max_epochs") or config.train_cfg.max_iters)
    assert length == config.param_scheduler[-1].end
    batch = re.search(r"_(\d+)xb(\d+)-", path.stem)
    gpus, per_gpu = map(int, batch.groups()) if batch else (8, 2)
    assert config.train_dataloader.batch_size == per_gpu
    assert config.auto_scale_lr.base_batch_size == gpus * per_gpu


@each([path for path in RECIPES if re.search(r"-\d+x\d+$", path.stem)])
def test_crop_is_what_the_name_says(path: Path) -> None:
    """Images are cropped and padded to it; sliding windows of UPerNet have it too."""
    side = int(path.stem.rsplit("x", 1)[1])
    config = Config.fromfile(path)
    preprocessor = config.model.data_preprocessor
    crop = next(step for step in config.train_pipeline if step.type == "RandomCrop").crop_size
    if path.parent.name == "upernet":
        padded, tested = preprocessor.size, config.model.test_cfg.crop_size
        assert crop == padded == tested == (side, side)
    else:
        (pad,) = preprocessor.batch_augments
        assert crop == pad.size == (side, side)


@pytest.mark.parametrize("root", ["/elsewhere/coco/", "/elsewhere/coco"])
def test_coco_root_moves_every_path(root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """COCO_ROOT reaches the data sets and the evaluator, with or without a slash, also out of a dumped config."""
    monkeypatch.setenv("COCO_ROOT", root)
    config = Config.fromfile(ROOT / "configs/mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_amp-ms-crop-3x_coco.py")
    config.dump(tmp_path / "dumped.py")
    monkeypatch.delenv("COCO_ROOT")
    for cfg in (config, Config.fromfile(tmp_path / "dumped.py")):
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            assert loader.dataset.data_root == root
        for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
            assert evaluator.ann_file == "/elsewhere/coco/annotations/instances_val2017.json"


@pytest.mark.parametrize("root", ["/elsewhere/ade/", "/elsewhere/ade"])
@pytest.mark.parametrize("name", ["t-w8_8xb2-160k_ade20k-512x512", "l-w40_8xb8-amp-40k_ade20k-640x640"])
def test_ade20k_root_moves_every_path(name: str, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ADE20K_ROOT reaches every data set at both crop sizes."""
    monkeypatch.setenv("ADE20K_ROOT", root)
    config = Config.fromfile(ROOT / f"configs/upernet/upernet_swinv2-{name}.py")
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.dataset.data_root == root
