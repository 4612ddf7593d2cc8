"""A type that nothing registered is explained, with the nearest name."""

from collections.abc import Callable

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, DefaultScope

from mmswinv2.errors import ConfigError
from mmswinv2.preflight import check_config, explain_unknown_type


@pytest.mark.parametrize(
    ("key", "name", "near"),
    [
        ("model.backbone", "mmswinv2.SwinTransfomerV2", "mmswinv2.SwinTransformerV2"),
        ("model.backbone", "SwinTransformerV2", "mmswinv2.SwinTransformerV2"),
        ("model", "MaskRCN", "MaskRCNN"),
    ],
)
def test_an_unknown_model_type_gets_the_nearest(detection: Config, key: str, name: str, near: str) -> None:
    """The config key is named, and the nearest registered name, with its scope where a config needs it."""
    detection.merge_from_dict({f"{key}.type": name})
    error = failing(MODELS.build, detection.model, detection)
    assert str(error).startswith(f"{key}.type: there is no model of type {name!r}; ")
    assert f"did you mean {near!r}?" in str(error)


def test_a_type_of_another_kind_is_explained(detection: Config) -> None:
    """A data set in a model's place is recognised as what it is."""
    detection.model.roi_head.type = "CocoPanopticDataset"
    error = failing(MODELS.build, detection.model, detection)
    assert "the nearest name is 'CocoPanopticDataset', of the registry for 'dataset'" in str(error)


def test_a_type_like_no_other_is_named(detection: Config) -> None:
    """No far-fetched suggestion."""
    detection.model.roi_head.type = "Zzyzx"
    assert "no registered name is near it" in str(failing(MODELS.build, detection.model, detection))


def test_an_unknown_layer_of_mmcv_is_named(segmentation: Config) -> None:
    """mmcv's own words for an unknown norm, conv or upsample layer are understood as well."""
    segmentation.model.decode_head.norm_cfg = dict(type="SyncBM")
    error = failing(MODELS.build, segmentation.model, segmentation)
    assert str(error) == "model.decode_head.norm_cfg.type: there is no model of type 'SyncBM'; did you mean 'SyncBN'?"


def test_an_unknown_hook_or_data_set_is_named(detection: Config) -> None:
    """Every registry is known, wherever the type stands in the config."""
    detection.custom_hooks = [dict(type="mmswinv2.DataChekHook")]
    error = failing(HOOKS.build, detection.custom_hooks[0], detection)
    assert "custom_hooks.0.type: there is no hook" in str(error)
    assert "did you mean 'mmswinv2.DataCheckHook'?" in str(error)
    detection.train_dataloader.dataset.dataset.type = "CocoDatset"
    error = failing(check_config, detection, detection)
    assert str(error) == (
        "train_dataloader.dataset.dataset.type: there is no dataset of type 'CocoDatset'; did you mean 'CocoDataset'?"
    )


def test_other_key_errors_are_left_alone(detection: Config) -> None:
    """Only errors about types are rewritten."""
    assert explain_unknown_type(KeyError("img_path"), detection) is None
    assert explain_unknown_type(KeyError(), detection) is None


def failing(build: Callable[[object], object], part: object, cfg: Config) -> ConfigError:
    """The explanation of the KeyError that ``build`` raises."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope), pytest.raises(KeyError) as error:
        build(part)
    return explain_unknown_type(error.value, cfg)
