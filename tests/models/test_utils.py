"""Initial weights that several networks have in common."""

import pytest
from torch import nn

from mmcednet.models.utils import init_truncated


def test_linear_layers_are_initialised_and_others_if_wanted():
    linear, conv = nn.Linear(64, 256), nn.Conv2d(64, 256, 1)
    before = conv.weight.clone()
    nn.Sequential(linear, conv).apply(init_truncated)
    assert linear.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not linear.bias.any()
    assert conv.weight.equal(before)
    init_truncated(conv, kinds=(nn.Conv2d, nn.Linear))
    assert conv.weight.std().item() == pytest.approx(0.02, rel=0.05)
