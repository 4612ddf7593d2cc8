"""Seeds by place: the same for the same place, unrelated for any other."""

import random

import numpy as np
import torch

from mmswinv2.datasets.seeds import mixed_seed, seed_process


def test_mixed_seeds_differ_by_every_number_and_their_order() -> None:
    """Not a sum: the second epoch of one run is not the first of the next; a trailing zero counts."""
    places = [(0,), (0, 0), (0, 1), (1, 0), (1, 0, 0), (1, 0, 1), (2**31, 5), (2**31, 5, 0)]
    seeds = [mixed_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert seeds == [mixed_seed(*place) for place in places]


def test_seed_process_sets_all_three_generators() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(()).item()

    seed_process(2**32 - 1)
    first = draws()
    assert draws() != first
    seed_process(2**32 - 1)
    assert draws() == first
