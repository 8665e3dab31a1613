import random

import numpy as np
import torch

from mmcednet.training.seeding import mix_seed, seed_all, seed_sample


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_depend_on_all_numbers_only():
    seed_all(1, 2, 3)
    first = draw()
    draw()
    seed_all(1, 2, 3)
    assert draw() == first
    seed_all(1, 3, 2)
    assert all(other != value for other, value in zip(draw(), first))


def test_different_numbers_give_different_seeds():
    seeds = {mix_seed(0, epoch, index) for epoch in range(30) for index in range(300)}
    assert len(seeds) > 9000 - 10  # of 2^32, less than one collision is expected


def test_sample_leaves_the_generators_as_they_are():
    seed_all(0)
    draw()
    expected = draw()
    seed_all(0)
    draw()
    with seed_sample(7, 0, 0):
        inside = draw()
    assert draw() == expected
    with seed_sample(7, 0, 0):
        assert draw() == inside
