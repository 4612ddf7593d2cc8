"""Random numbers of one sample, whatever was drawn before it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seeds torch (on the CPU), numpy and random within the block; afterwards they go on as if it had not been.

    Args:
        seed: None: nothing is seeded.
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
