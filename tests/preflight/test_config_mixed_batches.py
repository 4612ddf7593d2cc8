"""Batches that Mixup cannot pair are found before the run."""

import pytest
from mmengine.config import Config

from mmswinv2 import models
from mmswinv2.errors import ConfigError
from mmswinv2.preflight import LOADERS, check_config

MIXED = dict(data_preprocessor=dict(type="mmswinv2.MixupPreprocessor", num_classes=3))


def config(model: dict = MIXED, **loader: object) -> Config:
    return Config(dict(model=model, train_dataloader={"batch_size": 4, "drop_last": True, **loader}))


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (dict(batch_size=5), r"train_dataloader\.batch_size is 5"),
        (dict(drop_last=False), r"set train_dataloader\.drop_last=True"),
        (dict(batch_size=5, sampler=dict(type="InfiniteSampler")), "batch_size is 5"),
    ],
)
@pytest.mark.parametrize("kind", ["mmswinv2.MixupPreprocessor", "MixupPreprocessor", models.MixupPreprocessor])
def test_odd_batches_are_refused(loader: dict, message: str, kind: str | type) -> None:
    model = dict(data_preprocessor=dict(type=kind, num_classes=3))
    with pytest.raises(ConfigError, match=message):
        check_config(config(model, **loader), LOADERS)


@pytest.mark.parametrize(
    "sampler", [dict(type="InfiniteSampler"), dict(type="mmswinv2.ResumableSampler", infinite=True)]
)
def test_an_endless_sampler_has_no_last_batch(sampler: dict) -> None:
    check_config(config(drop_last=False, sampler=sampler), LOADERS)


def test_even_whole_batches_pass_and_other_runs_are_not_looked_at() -> None:
    check_config(config(), LOADERS)
    check_config(config(batch_size=5), ("test_dataloader",))
    check_config(config(dict(type="mmswinv2.ImageClassifier"), batch_size=5), LOADERS)
