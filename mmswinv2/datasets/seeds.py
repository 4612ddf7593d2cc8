"""Random numbers that depend on where a run stands, not on what ran before: a resumed run draws the same ones."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# What a seed is for, so that seeds of different purposes with the same numbers differ.
ORDER, SAMPLE, PROCESS = range(3)


def mixed_seed(*numbers: int) -> int:
    """Returns a seed of 32 bits made of ``numbers``, each at least 0. Other numbers give an unrelated seed."""
    # The first is their count, because numpy overlooks zeros at the end.
    return int(np.random.SeedSequence((len(numbers), *numbers)).generate_state(1)[0])


def seed_process(seed: int) -> None:
    """Seeds Python, numpy and torch on all devices; ``seed`` has at most 32 bits."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seeds torch (on the CPU), numpy and random within a block. After it they go on as if it had not been there.

    Args:
        seed: At least 0; None: nothing is seeded.
    """
    if seed is None:
        yield
        return
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    # torch.manual_seed would seed the GPU's generator as well, which the model draws from.
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
