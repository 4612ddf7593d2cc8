"""A sample's random numbers follow from its seed and leave the others alone."""

import random

import numpy as np
import torch

from mmswinv2.datasets.seeds import seeded


def draw() -> tuple[float, ...]:
    """A number of each generator."""
    return torch.rand(1).item(), float(np.random.rand()), random.random()


def test_same_seed_same_numbers_in_all_generators() -> None:
    draws = []
    for seed in (2**32 - 1, 2**32 - 1, 7):
        draw()
        with seeded(seed):
            draws.append(draw())
    assert draws[0] == draws[1]
    assert all(one != another for one, another in zip(draws[0], draws[2], strict=True))


def test_generators_go_on_as_if_nothing_had_been_seeded() -> None:
    """Also after an error within the block."""
    np.random.seed(3), random.seed(3)
    expected = [draw(), draw()]
    torch.manual_seed(0), np.random.seed(3), random.seed(3)
    drawn = [draw()]
    try:
        with seeded(5):
            draw()
            raise KeyError
    except KeyError:
        drawn.append(draw())
    torch.manual_seed(0)
    assert drawn == expected


def test_without_a_seed_the_generators_draw_on() -> None:
    with seeded(None):
        first = draw()
    assert draw() != first
