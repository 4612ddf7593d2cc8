"""The study of larger windows changes what it says, keeps the pretrained window, and reports by hand-made numbers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from mmswinv2.analysis.claims.larger_window import FULL, MODELS_OF_NUCLEI, Model, Setting, ready_to_test
from mmswinv2.analysis.claims.larger_window.report import Found, bias_table, draw, table
from mmswinv2.analysis.study import CONFIGS, Trained

from ...support import ROOT

each_model = pytest.mark.parametrize("model", MODELS_OF_NUCLEI, ids=lambda model: model.slug)


def test_every_window_is_tried_at_every_size() -> None:
    """The demo's own comes first: differences are to it."""
    assert FULL.settings[0] == (8, 1.0)
    assert set(FULL.settings) == {(window, scale) for window in (8, 12, 16, 24) for scale in (1.0, 1.5)}
    assert FULL.tuned[0] == FULL.settings[0]
    assert set(FULL.tuned) < set(FULL.settings)


@each_model
def test_the_first_setting_is_the_demo(model: Model) -> None:
    """Its options change nothing in either config, so that what it gains is due to no setting."""
    for name in (model.config, model.tuned_config):
        config, changed = (Config.fromfile(CONFIGS / name) for _ in range(2))
        changed.merge_from_dict(dict(model.options(Setting(8, 1.0))))
        assert changed.to_dict() == config.to_dict()


@each_model
def test_images_are_larger_in_test_and_training(model: Model) -> None:
    """The first one has 256 px in the file; crops for training keep their size."""
    config = Config.fromfile(CONFIGS / model.tuned_config)
    init_default_scope(config.default_scope)
    sides, crops = [], []
    for scale in (1.0, 1.5):
        config.merge_from_dict(dict(model.options(Setting(16, scale))))
        assert config.model.backbone.window_size == 16
        test, train = (Runner.build_dataloader(config[f"{name}_dataloader"]).dataset for name in ("test", "train"))
        sides.append(test[0]["inputs"].shape[-1])
        crops.append(train[0]["inputs"].shape[-1])
        scales = [data.pipeline.transforms[2].scale for data in leaves(train)]
        assert scales == [(model.train_side * scale, model.train_side * scale)] * len(model.train_pipelines)
    assert sides == [model.test_side, 1.5 * model.test_side]
    assert crops[0] == crops[1]


def leaves(dataset: object) -> list:
    """The data sets inside those that repeat and join."""
    inner = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    return [dataset] if inner == [None] else [leaf for one in inner for leaf in leaves(one)]


@each_model
def test_a_larger_window_keeps_the_offsets_of_the_small_one(model: Model, tmp_path: Path) -> None:
    """The position bias of window 24 is normalised by the window of the checkpoint, 8."""
    config = Config.fromfile(CONFIGS / model.config)
    init_default_scope(config.default_scope)
    torch.save({"state_dict": MODELS.build(config.model).state_dict()}, tmp_path / "iter_1.pth")
    trained = Trained(CONFIGS / model.config, (), tmp_path, tmp_path / "iter_1.pth")
    net, batches = ready_to_test(trained, model.options(Setting(24, 1.0)), images=2)
    assert net.backbone.window_sizes == ((24, 24),) * 3
    assert net.backbone.pretrained_window_sizes.tolist() == [[8, 8]] * 3
    assert len(batches) == 2


def test_table_by_hand() -> None:
    """Differences to the first row, seed by seed: 0.1 and 0.3 have the mean 0.2 and the error 0.1."""
    found = Found(
        as_trained={(8, 1.0): [0.4, 0.5], (12, 1.0): [0.5, 0.8], (16, 1.0): [0.4, 0.5]},
        trained_on={(8, 1.0): [0.6, 0.6], (12, 1.0): [0.6, 0.5]},
        without_bias=[0.2, 0.1],
        seconds={(8, 1.0): 0.5, (12, 1.0): 0.75, (16, 1.0): 1.0},
    )
    _, _, first, second, third, *_ = table({"UPerNet": found}).splitlines()
    assert first == "| UPerNet | 1 | 8 | 0.450 ± 0.050 |  | 0.600 ± 0.000 |  | 0.50 (1.00) |"
    gains = "0.650 ± 0.150 | 0.200 ± 0.100 (+2.0) | 0.550 ± 0.050 | -0.050 ± 0.050 (-1.0)"
    assert second == f"| UPerNet | 1 | 12 | {gains} | 0.75 (1.50) |"
    assert third == "| UPerNet | 1 | 16 | 0.450 ± 0.050 | 0.000 ± 0.000 (+0.0) |  |  | 1.00 (2.00) |"
    row = bias_table({"UPerNet": found}).splitlines()[-1]
    assert row == "| UPerNet | 0.450 ± 0.050 | 0.150 ± 0.050 | 0.300 ± 0.100 (+3.0) |"
    panels = draw({"UPerNet": found}).axes
    assert [panel.get_ylabel() for panel in panels] == ["score", "seconds an image"]
    assert list(panels[1].lines[0].get_ydata()) == [0.5, 0.75, 1.0]


@pytest.mark.full
def test_quick_study(tmp_path: Path) -> None:
    """From another folder, as a user runs it."""
    command = [sys.executable, str(ROOT / "tools/analysis/larger_window.py"), "--quick", "--seeds", "2"]
    subprocess.run([*command, "--work-dir", str(tmp_path / "work")], cwd=tmp_path, check=True)
    results = json.loads((tmp_path / "work/results.json").read_text())["measurements"]
    assert len(results) == 2 * (2 * 2 + 1) + 1
    assert "| UPerNet, mIoU | 1.5 | 12 |" in (tmp_path / "work/table.md").read_text()
    assert (tmp_path / "work/figure.png").stat().st_size > 10_000
