"""``model-index.yml`` and the metafiles: every recipe is there once, as its config says."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import MODELS, DefaultScope

from mmswinv2.arch import ARCHS

from ..support import ROOT

INDEX = load(ROOT / "model-index.yml")
METAFILES = {path: load(ROOT / path) for path in INDEX["Import"]}
MODEL_ENTRIES = [entry for metafile in METAFILES.values() for entry in metafile["Models"]]
TRAINING_DATA = {
    "COCO_ROOT": "COCO",
    "OBJECTS365_ROOT": "Objects365-v2",
    "ADE20K_ROOT": "ADE20K",
    "IMAGENET_ROOT": "ImageNet-1k",
    "IMAGENET22K_ROOT": "ImageNet-22k",
}
LENGTHS = {"Epochs": "max_epochs", "Iterations": "max_iters"}


def test_every_metafile_is_imported() -> None:
    assert INDEX["Import"] == sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("configs/*/metafile.yml"))


def test_every_recipe_is_listed_once() -> None:
    """All configs but those of demos and studies, which are no recipes."""
    recipes = (path.relative_to(ROOT) for path in ROOT.glob("configs/*/*.py"))
    expected = sorted(path.as_posix() for path in recipes if path.parent.name not in ("_base_", "demo", "analysis"))
    assert sorted(entry["Config"] for entry in MODEL_ENTRIES) == expected


@pytest.mark.parametrize("path", METAFILES)
def test_recipes_are_in_their_folder_and_collection(path: str) -> None:
    collections = [collection["Name"] for collection in METAFILES[path]["Collections"]]
    for entry in METAFILES[path]["Models"]:
        config = Path(entry["Config"])
        assert config.parent == Path(path).parent
        assert entry["Name"] == config.stem
        assert entry["In Collection"] in collections


def test_collections_have_names_of_their_own() -> None:
    """MIM joins the collections of all metafiles by name."""
    names = [collection["Name"] for metafile in METAFILES.values() for collection in metafile["Collections"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("entry", MODEL_ENTRIES, ids=lambda entry: entry["Name"])
def test_entry_agrees_with_its_config(entry: dict) -> None:
    """Architecture, window, parameters, data, batch size, length and the recipe whose weights it starts from."""
    config = Config.fromfile(ROOT / entry["Config"], use_environment_variables=False)
    backbone, schedule = config.model.backbone, config.train_cfg
    with DefaultScope.overwrite_default_scope(config.default_scope), torch.device("meta"):
        model = MODELS.build(config.model)
    windows = backbone.window_size if isinstance(backbone.window_size, list) else [backbone.window_size]
    sizes = {f"SwinV2-{name[0].upper()}": name for name in ARCHS}
    root = config.train_dataloader.dataset.data_root
    length = {key: schedule[name] for key, name in LENGTHS.items() if name in schedule}
    metadata = dict(entry["Metadata"])
    size, *_ = metadata.pop("Architecture")
    assert sizes[size] == backbone.arch
    assert metadata == {
        "Window": windows[0],
        "Parameters": sum(parameter.numel() for parameter in model.parameters()),
        "Training Data": next(data for variable, data in TRAINING_DATA.items() if f"${variable}:" in root),
        "Batch Size": config.auto_scale_lr.base_batch_size,
        **length,
        **starts_from(config),
    }


def starts_from(config: Config) -> dict[str, str]:
    """The recipe in whose work dir the weights of the backbone or of the whole model lie."""
    init_cfg = config.model.backbone.get("init_cfg") or {}
    file = init_cfg.get("checkpoint") or config.load_from
    return {"Starts From": Path(file).parent.name} if file else {}


def test_nothing_is_claimed_that_was_not_measured() -> None:
    """Weights and results come together, for MIM to download the one and show the other."""
    for entry in MODEL_ENTRIES:
        assert ("Weights" in entry) == ("Results" in entry), entry["Name"]
