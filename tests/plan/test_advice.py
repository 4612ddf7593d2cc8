"""Which changes are advised."""

from mmswinv2.plan.advice import alternatives, with_share
from mmswinv2.plan.live import Moment
from mmswinv2.plan.strategies import plan

from .test_strategies import TRAINING

RECOMPUTING = TRAINING._replace(moments=[Moment(40, 0, 50)])
WITH_CP = "model.backbone.with_cp=True"


def test_each_change_is_planned_with_each_strategy_that_it_concerns() -> None:
    found = {one.change: one.total for one in alternatives(TRAINING, RECOMPUTING, batch=4, gpus=2)}
    assert found["zero1"] == plan(TRAINING, "zero1", 2).total
    assert found[f"fsdp2 with {WITH_CP}"] == plan(RECOMPUTING, "fsdp2", 2).total
    assert found["ddp with --batch 2"] == plan(with_share(TRAINING, 0.5), "ddp", 2).total
    assert f"fsdp2 with {WITH_CP} and --batch 2" in found


def test_on_one_gpu_there_is_nothing_to_share() -> None:
    assert [one.change for one in alternatives(TRAINING, None, batch=1, gpus=1)] == ["ddp"]


def test_half_of_the_images_keep_all_copies_of_parameters() -> None:
    assert with_share(TRAINING, 0.5).moments[1] == Moment(40, 20, 190)
