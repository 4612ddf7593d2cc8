"""What a strategy keeps and sends: by hand for round numbers, and as the loopback device has counted it."""

import pytest

from mmswinv2.benchmark.strategies import measured, memory_in_theory, sent_in_theory

PARAMETERS, BLOCK = 100, 10


@pytest.mark.parametrize(
    ("strategy", "values"),  # of 4 bytes: weights, gradients and two moments
    [("ddp", 400), ("zero1", 100 + 100 + 2 * 25), ("fsdp2", 4 * 25 + 3 * 10)],
)
def test_memory_of_one_of_four_processes(strategy: str, values: int) -> None:
    assert memory_in_theory(strategy, 4, PARAMETERS, BLOCK) == 4 * values


@pytest.mark.parametrize(("strategy", "values"), [("ddp", 150), ("zero1", 225), ("fsdp2", 225)])
def test_what_one_of_four_processes_sends(strategy: str, values: int) -> None:
    assert sent_in_theory(strategy, 4, PARAMETERS) == 4 * values


@pytest.mark.full
@pytest.mark.parametrize(("strategy", "over_theory"), [("ddp", 1), ("zero1", 1), ("fsdp2", 4 / 3)])
def test_two_processes_send_what_theory_says(strategy: str, over_theory: float) -> None:
    """Under ``fsdp2`` gloo adds gradients up by an all-reduce, which sends twice what a reduce-scatter does."""
    cost, parameters, _ = measured(strategy, 2)
    assert cost.sent == pytest.approx(over_theory * sent_in_theory(strategy, 2, parameters), rel=0.05)
