"""The demonstration of pretraining: what its table and pictures say of images, baselines and losses is right."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmswinv2.analysis.claims.labels import QUICK, fine_tuning
from mmswinv2.analysis.study import CONFIGS, Study
from mmswinv2.registry import MODELS

from ..support import ROOT

DEMO = ROOT / "demo"
SIMMIM = ROOT / "configs/analysis/labels_simmim-photos.py"


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Imports a script of the demo folder, which is no package."""
    monkeypatch.syspath_prepend(str(DEMO))
    return importlib.import_module


@pytest.mark.parametrize(("split", "count"), [("train", 312 + 400), ("val", 65 + 199)])
def test_lists_are_the_shipped_images_of_a_split(split: str, count: int) -> None:
    """What is tested on is not pretrained on."""
    names = (DEMO / f"pretraining_{split}.txt").read_text().splitlines()
    assert len(names) == len(set(names)) == count
    assert all((DEMO / name).is_file() and name.split("/")[1] == split for name in names)


def test_further_images_are_of_training_folders(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of data sets that the demo tests on, only those for training, and none that is shipped; those come first."""
    shipped = next((DEMO / "flowers/train/daisy").glob("*.jpg")).name
    names = (
        "flowers5/train/roses/a.jpg",
        f"flowers5/train/daisy/{shipped}",
        "flowers5/val/roses/b.jpg",
        "nuclei/val/c.jpg",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setenv("MMSWINV2_DATA", str(tmp_path))
    images = demo("pretrain").training_images()
    assert images[712:] == [str(tmp_path / "flowers5/train/roses/a.jpg")]


def test_classifiers_learn_and_are_tested_on_the_images_of_the_repository(demo: ModuleType, tmp_path: Path) -> None:
    pretrain = demo("pretrain")
    plan = pretrain.make_plan()
    ten = fine_tuning(Study(tmp_path, {}), plan, plan.tasks[0], "SimMIM", 10, seed=0, rate=1e-3)
    config = Config.fromfile(CONFIGS / ten.config)
    config.merge_from_dict(dict(ten.options))
    train, val = config.train_dataloader.dataset, config.val_dataloader.dataset
    names = [line.split()[0] for line in Path(train.ann_file).read_text().splitlines()]
    assert len(names) == 40
    assert all((ROOT / train.data_root / train.data_prefix.img_path / name).is_file() for name in names)
    assert ROOT / val.data_root / val.data_prefix.img_path == DEMO / "flowers/val"
    simmim = dict(ten.backbone_start.options)
    assert Path(simmim["train_dataloader.dataset.ann_file"]).read_text().splitlines() == pretrain.training_images()
    assert simmim["train_cfg.max_iters"] == simmim["param_scheduler.1.end"] == pretrain.ITERATIONS


@pytest.mark.full
def test_the_demo_runs_and_reports(demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two iterations of everything."""
    pretrain = demo("pretrain")
    short = replace(pretrain.make_plan(), pretraining=(), training=QUICK.training)
    monkeypatch.setattr(pretrain, "make_plan", lambda: short)
    monkeypatch.setattr(pretrain, "SEEDS", range(2))
    monkeypatch.setattr(pretrain, "SHARES", (10,))
    monkeypatch.setattr("sys.argv", ["pretrain.py", "--work-dir", str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    pretrain.main()
    assert "| flowers | 10 |" in (tmp_path / "table.md").read_text()
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("figure.png", "reconstructions.png"))


def test_nearest_neighbour_goes_by_colour(demo: ModuleType) -> None:
    """Finds each image itself, and beats chance, 0.2, on others."""
    histogram_accuracy = demo("baselines").histogram_accuracy
    assert histogram_accuracy(DEMO / "flowers/val", DEMO / "flowers/val") == 1.0
    assert 0.4 < histogram_accuracy(DEMO / "flowers/train", DEMO / "flowers/val") < 0.7


def test_reconstructions_are_drawn(demo: ModuleType, tmp_path: Path) -> None:
    cfg = Config.fromfile(SIMMIM)
    torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, tmp_path / "simmim.pth")
    demo("pretraining_pictures").draw_reconstructions(SIMMIM, tmp_path / "simmim.pth", tmp_path / "a.png", columns=2)
    height, width, _ = cv2.imread(str(tmp_path / "a.png")).shape
    assert height > 500
    assert width > 300


def test_held_out_losses_are_those_of_a_test_and_of_the_best_constant(demo: ModuleType, tmp_path: Path) -> None:
    """Of SimMIM what a test would report; the constant is the best, which 0 and those beside it are not."""
    config, checkpoint = tmp_path / "simmim.py", tmp_path / "simmim.pth"
    config.write_text(f"_base_ = {str(SIMMIM)!r}\nval_dataloader = dict(batch_size=3, dataset=dict(indices=7))\n")
    cfg = Config.fromfile(config)
    model = MODELS.build(cfg.model).eval()
    torch.save({"state_dict": model.state_dict()}, checkpoint)
    losses = demo("reconstruction").held_out_losses(config, checkpoint)

    batches = list(Runner.build_dataloader(cfg.val_dataloader))
    samples = [sample for batch in batches for sample in model.val_step(batch)]
    assert len(samples) == 7
    assert losses["SimMIM"] == pytest.approx(sum(sample["loss"] for sample in samples) / 7, rel=1e-4)
    inputs, mask = (torch.cat([batch[key] for batch in batches]) for key in ("inputs", "mask"))
    hidden = mask.repeat_interleave(4, 1).repeat_interleave(4, 2)
    targets = model.targets(inputs).movedim(1, -1)[hidden]  # (pixels, 3)
    for constant in (torch.zeros(3), *(targets.median(dim=0).values + step for step in (-0.05, 0.05))):
        assert losses["best constant"] < (targets - constant).abs().mean()
