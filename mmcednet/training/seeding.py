"""Random numbers that depend on the seed and a position only, not on what was drawn before."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def mix_seed(*numbers: int) -> int:
    """Mix non-negative numbers into a seed in [0, 2^32); different numbers give independent seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_all(*numbers: int) -> None:
    """Seed Python, numpy and torch, on all devices."""
    seed = mix_seed(*numbers)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seed_sample(*numbers: int) -> Iterator[None]:
    """Seed Python, numpy and torch's CPU generator, and set them back to their states afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed = mix_seed(*numbers)
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would also look for GPUs
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
