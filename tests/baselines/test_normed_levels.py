"""NormedLevels normalises what another backbone returns."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn

from mmcednet.baselines import NormedLevels


class TwoLevels(BaseModule):
    """Levels of 4 and 6 channels at strides 2 and 4, not contiguous."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 2, stride=2)
        self.second = nn.Conv2d(4, 6, 2, stride=2)

    def forward(self, x):
        x = self.first(x)
        return [level.to(memory_format=torch.channels_last) for level in (x, self.second(x))]


@pytest.fixture(autouse=True)
def two_levels():
    MODELS.register_module(module=TwoLevels)
    yield
    MODELS.module_dict.pop('TwoLevels')


def test_levels_are_normalised_over_the_channels():
    torch.manual_seed(0)
    model = NormedLevels(dict(type='TwoLevels'), channels=[4, 6])
    for param in model.norms.parameters():
        nn.init.normal_(param)
    model.double()
    images = torch.randn(2, 3, 13, 18, dtype=torch.float64)
    outs = model(images)
    assert [tuple(out.shape) for out in outs] == [(2, 4, 6, 9), (2, 6, 3, 4)]
    for out, level, norm in zip(outs, model.network(images), model.norms):
        assert out.is_contiguous()
        mean, var = level.mean(1, keepdim=True), level.var(1, unbiased=False, keepdim=True)
        expected = (level - mean) / (var + 1e-5).sqrt()
        expected = expected * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
        torch.testing.assert_close(out, expected)


def test_gradients_reach_every_parameter():
    model = NormedLevels(dict(type='TwoLevels'), channels=[4, 6])
    outs = model(torch.randn(2, 3, 16, 16))
    sum(F.mse_loss(out, torch.randn_like(out)) for out in outs).backward()
    assert all(param.grad is not None and param.grad.any() for param in model.parameters())


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_weights_are_loaded_by_init_cfg(prefix, tmp_path):
    source = NormedLevels(dict(type='TwoLevels'), channels=[4, 6])
    weights = {prefix + key: value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    model = NormedLevels(dict(type='TwoLevels'), channels=[4, 6], init_cfg=init_cfg)
    model.init_weights()
    for key, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[key], value)


def test_wrong_channels_are_an_error():
    with pytest.raises(ValueError, match=r'channels \[4, 0\] must be positive integers'):
        NormedLevels(dict(type='TwoLevels'), channels=[4, 0])
