"""What each strategy of training on several GPUs keeps on one of them, and what one of them sends in a step."""

from collections.abc import Sequence
from heapq import heapreplace
from typing import NamedTuple

from torch import nn

from ..layers import SwinV2Block
from .live import Moment

STRATEGIES = {
    "ddp": "every GPU has everything (DistributedDataParallel)",
    "zero1": "each GPU has its share of the optimizer's state (ZeroRedundancyOptimizer)",
    "fsdp2": "each GPU has its share of parameters, gradients and state, and gathers a block at a time (fully_shard)",
}
HALF, SINGLE = 2, 4  # bytes of a value
UNITS = 2  # blocks that fsdp2 has gathered at a time: the one at work and the next
FIXED_ALLOWANCE = 2**30  # bytes: CUDA's context, workspaces, and with several GPUs the buffers of NCCL
GROWING_ALLOWANCE = 0.05  # of all else: gaps and rounding of the allocator


class Training(NamedTuple):
    """A training that is planned, in bytes where nothing else is said.

    Attributes:
        moments: What lives at each time of a step on a GPU, besides what stays from step to step.
        parameters: Of the whole model.
        trained: Of the parameters that are trained. Their gradients take as much.
        largest_block: Of the parameters of the largest block.
        outside_blocks: Of the parameters that no block has.
        state: Of the optimizer, for each byte that is trained.
        temporary: Of an optimizer's step.
        averaged: Of the averaged weights, 0 where there are none.
        half: Whether it trains in mixed precision.
        groups: Of each trained parameter, in the optimizer's groups.
    """

    moments: Sequence[Moment]
    parameters: int
    trained: int
    largest_block: int
    outside_blocks: int
    state: float
    temporary: int
    averaged: int
    half: bool
    groups: Sequence[Sequence[int]]


class Plan(NamedTuple):
    """What a GPU holds at the time of a step at which it holds most, in bytes, and what it sends in a step.

    Attributes:
        parameters: With averaged weights.
        gradients: Of parameters, as long as they are there.
        optimizer: The optimizer's state.
        activations: What the backward pass needs, and temporary results.
        gathered: What fsdp2 has gathered of the other GPUs' shares.
        allowance: For what is not counted; a guess.
        sent: In a step.
    """

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    gathered: float
    allowance: float
    sent: float

    @property
    def total(self) -> float:
        """All that a GPU holds."""
        return sum(self[:-1])


def largest_block(model: nn.Module) -> int:
    """Bytes of the parameters of a model's largest SwinV2 block."""
    return max(map(size_of, blocks_in(model)), default=0)


def outside_blocks(model: nn.Module) -> int:
    """Bytes of the parameters that are in no SwinV2 block."""
    return size_of(model) - sum(map(size_of, blocks_in(model)))


def blocks_in(model: nn.Module) -> list[nn.Module]:
    """The SwinV2 blocks of a model."""
    return [module for module in model.modules() if isinstance(module, SwinV2Block)]


def size_of(module: nn.Module, trained: bool = False) -> int:
    """Bytes of a module's parameters, or of those that are trained."""
    return sum(parameter.nbytes for parameter in module.parameters() if parameter.requires_grad or not trained)


def largest_share(groups: Sequence[Sequence[int]], gpus: int) -> int:
    """Bytes of the parameters that the GPU with most of them steps under zero1.

    Each has whole parameters. ``ZeroRedundancyOptimizer`` gives a group's largest away first, to whoever has least.
    """
    shares = [0] * gpus  # a heap
    for group in groups:
        for size in sorted(group, reverse=True):
            heapreplace(shares, shares[0] + size)
    return max(shares)


def plan(training: Training, strategy: str, gpus: int) -> Plan:
    """Plans a training.

    Args:
        training: What is trained.
        strategy: One of :data:`STRATEGIES`.
        gpus: Number of GPUs, at least 1.
    """
    # The step of the optimizer comes when all activations are gone.
    step = Moment(training.trained, 0, training.temporary)
    plans = [_at(moment, training, strategy, gpus) for moment in training.moments]
    shared = gpus if strategy != "ddp" else 1
    plans.append(_at(step._replace(activations=training.temporary // shared), training, strategy, gpus))
    return max(plans, key=lambda plan: plan.total)


def _at(moment: Moment, training: Training, strategy: str, gpus: int) -> Plan:
    """What a GPU holds at one time."""
    sharded = gpus if strategy == "fsdp2" else 1
    stepped = largest_share(training.groups, gpus) if strategy == "zero1" else training.trained / sharded
    state = stepped * training.state
    gradients = moment.gradients / sharded
    if strategy != "fsdp2" and gpus > 1:
        gradients = training.trained  # they are the buckets that are sent, which are there all the time
    activations = moment.casts + moment.activations
    gathered = 0.0
    if strategy == "fsdp2":
        value = HALF if training.half else SINGLE
        activations = moment.activations if training.half else activations  # it gathers what autocast would cast
        is_step = moment.gradients >= training.trained
        whole = training.outside_blocks + UNITS * training.largest_block / SINGLE * value
        # A block's gradients are there in its type, and in float32 while they are sent.
        gathered = 0.0 if is_step else whole + training.outside_blocks + training.largest_block * 2
    held = (
        (training.parameters + training.averaged) / sharded,
        gradients,
        state,
        activations,
        gathered,
    )
    return Plan(*held, FIXED_ALLOWANCE + GROWING_ALLOWANCE * sum(held), sent(training, strategy, gpus))


def sent(training: Training, strategy: str, gpus: int) -> float:
    """Bytes that each GPU sends in a step, by rings: a reduction and a gathering each pass on all shares but its own.

    ddp adds the gradients up and spreads the sums. zero1 also spreads the parameters that each GPU has stepped. fsdp2
    gathers parameters for the forward and again for the backward pass, those of blocks in half precision where the
    training is mixed, and adds gradients up in float32.
    """
    share = (gpus - 1) / gpus
    if strategy == "ddp":
        return 2 * share * training.trained
    if strategy == "zero1":
        return 3 * share * training.trained
    value = (HALF if training.half else SINGLE) / SINGLE
    blocks = training.parameters - training.outside_blocks
    return share * (2 * (value * blocks + training.outside_blocks) + training.trained)
