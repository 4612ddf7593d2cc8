"""Every config still resolves to the values in ``resolved.json``, whatever way it is written."""

from pathlib import Path

import pytest
from mmengine.config import Config

from ..support import ROOT
from .resolved import config_names, differences, read, resolve

RENEW = "if that is meant, run python -m tests.configs.resolved --write and commit what changes"


def test_snapshot_has_every_config_and_no_other() -> None:
    assert list(read()) == config_names(), RENEW


@pytest.mark.parametrize("name", config_names())
def test_config_resolves_to_its_snapshot(name: str) -> None:
    expected, found = read()[name], resolve(name)
    changes = [f"{key}: {expected.get(key)} -> {found.get(key)}" for key in differences(expected, found)]
    assert not changes, "\n".join([f"configs/{name} resolves to other values; {RENEW}", *changes])


def test_a_changed_value_and_a_tuple_made_a_list_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison tells values and types of containers apart, at any depth."""
    name = "upernet/upernet_swinv2-t-w8_8xb2-160k_ade20k-512x512.py"
    config = Config.fromfile(ROOT / "configs" / name, use_environment_variables=False, import_custom_modules=False)
    config.model.data_preprocessor.size = list(config.model.data_preprocessor.size)
    config.tta_pipeline[1].transforms[0] = tuple(config.tta_pipeline[1].transforms[0])
    config.train_cfg.max_iters += 1
    config.helper = 1
    (tmp_path / name).parent.mkdir()
    config.dump(tmp_path / name)
    monkeypatch.setattr("tests.configs.resolved.FOLDER", tmp_path)
    changes = differences(read()[name], resolve(name))
    assert changes["model.data_preprocessor.size"] == "[512, 512]"
    assert changes["train_cfg.max_iters"] == "160001"
    assert changes["helper"] == "1"
    scale = "tta_pipeline[1].transforms{}.scale"
    assert changes[scale.format("[0][0]")] is None
    assert changes[scale.format("[0](0)")] == "(1024, 256)"
