"""What each strategy holds and sends, worked out by hand for round numbers."""

import pytest
import torch
from torch import distributed, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.testing._internal.distributed.fake_pg import FakeStore

from mmswinv2.engine import strategies
from mmswinv2.plan.live import Moment
from mmswinv2.plan.strategies import FIXED_ALLOWANCE, STRATEGIES, Training, largest_share, plan

# 100 bytes of parameters, 80 of them trained; at the peak half of the gradients are there.
TRAINING = Training(
    moments=[Moment(0, 10, 300), Moment(40, 20, 380), Moment(80, 0, 100)],
    parameters=100,
    trained=80,
    largest_block=16,
    outside_blocks=20,
    state=2,
    temporary=40,
    averaged=0,
    half=False,
    groups=[[10, 30], [40]],
)


def test_those_are_planned_that_a_config_may_name() -> None:
    assert list(STRATEGIES) == list(strategies.STRATEGIES)


def test_one_gpu_has_everything_once_and_sends_nothing() -> None:
    one = plan(TRAINING, "ddp", 1)
    assert one[:5] == (100, 40, 160, 400, 0)
    assert one.allowance == FIXED_ALLOWANCE + 0.05 * 700
    assert one.sent == 0


def test_ddp_has_buckets_for_all_gradients_all_the_time() -> None:
    assert plan(TRAINING, "ddp", 4).gradients == 80
    assert plan(TRAINING, "ddp", 4).sent == 2 * 3 / 4 * 80


def test_zero1_shares_the_state_and_spreads_parameters() -> None:
    """Whole parameters: the one of 40 bytes, whose state takes 80, goes to a GPU that has nothing yet."""
    one = plan(TRAINING, "zero1", 4)
    assert one[:5] == (100, 80, 80, 400, 0)
    assert one.sent == 3 * 3 / 4 * 80


@pytest.mark.parametrize("gpus", [1, 2, 3, 7])
def test_zero1_s_largest_share_is_that_of_torch(gpus: int) -> None:
    groups = [[3, 5, 20, 1], [9], [9, 4, 4, 30]]
    parameters = [{"params": [nn.Parameter(torch.zeros(size)) for size in group]} for group in groups]
    stepped = []
    for rank in range(gpus):
        distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=gpus)
        own = ZeroRedundancyOptimizer(parameters, torch.optim.AdamW).optim.param_groups
        stepped.append(sum(parameter.numel() for group in own for parameter in group["params"]))
        distributed.destroy_process_group()
    assert largest_share(groups, gpus) == max(stepped) and sum(stepped) == 85


def test_fsdp2_shares_all_and_gathers_blocks() -> None:
    """Two blocks and what is outside of blocks are gathered; a block's gradients are there and on their way."""
    one = plan(TRAINING, "fsdp2", 4)
    assert one[:5] == (25, 10, 40, 400, (20 + 2 * 16) + (20 + 2 * 16))
    assert one.sent == 3 / 4 * (2 * 100 + 80)


def test_fsdp2_gathers_in_half_precision_what_autocast_would_copy() -> None:
    one = plan(TRAINING._replace(half=True), "fsdp2", 4)
    assert one.activations == 380
    assert one.gathered == (20 + 2 * 16 / 2) + (20 + 2 * 16)
    assert one.sent == 3 / 4 * (2 * (80 / 2 + 20) + 80)


@pytest.mark.parametrize(("strategy", "temporary"), [("ddp", 4000), ("zero1", 1000), ("fsdp2", 1000)])
def test_the_optimizer_s_step_may_be_the_peak(strategy: str, temporary: int) -> None:
    """All gradients and the state are there then, and a copy of a group, which is shared as the state is."""
    assert plan(TRAINING._replace(temporary=4000), strategy, 4).activations == temporary


def test_averaged_weights_are_parameters_again() -> None:
    assert plan(TRAINING._replace(averaged=100), "zero1", 4).parameters == 200
