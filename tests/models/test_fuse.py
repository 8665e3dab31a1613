"""Fused networks: same outputs, fewer operations."""

import pytest
import torch
from torch import nn

from mmcednet.models import CEDNet, fuse
from mmcednet.models.blocks import MIXERS
from mmcednet.models.layers import MLP


def build(small, mixer):
    """A network whose scales and biases are not those of the initialization."""
    torch.manual_seed(0)
    network = CEDNet(dict(small, channels=(32, 32, 64, 80)), mixer=mixer, pyramid=dict(channels=16))
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            scale = 0.5 if name.endswith('gamma') else 0.2
            nn.init.normal_(parameter, float(not name.endswith('bias')), scale)
    return network.eval()


@pytest.mark.parametrize('mixer', MIXERS)
@pytest.mark.parametrize('size', [(64, 64), (70, 99)])
def test_same_outputs(small, mixer, size):
    network, images = build(small, mixer), torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = network(images)
        assert fuse(network) is network
        for ours, theirs in zip(network(images), expected, strict=True):
            assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
    outs = network(images)  # with gradients, in the other path of the MLP
    for ours, theirs in zip(outs, expected, strict=True):
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


@pytest.mark.parametrize('mixer', MIXERS)
def test_scales_are_gone(small, mixer):
    network = fuse(build(small, mixer))
    assert not any('gamma' in name for name, _ in network.named_parameters())
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    fuse(network)
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name])
    mlps = [module for module in network.modules() if isinstance(module, MLP)]
    norms = [module for module in network.modules() if isinstance(module, nn.LayerNorm)]
    without = [norm for norm in norms if norm.weight is None]
    expected = dict(dwconv=len(mlps) - count_long_range(network), conv=0).get(mixer, len(mlps))
    assert len(without) == expected


def count_long_range(network):
    return sum(hasattr(module, 'dwconv2') for module in network.modules())


def test_in_a_model_and_in_float16(small):
    model = nn.ModuleDict(dict(backbone=build(small, 'dwconv'))).half().eval()
    fuse(model)
    assert all(parameter.dtype == torch.float16 for parameter in model.parameters())
    assert not any('gamma' in name for name, _ in model.named_parameters())


def test_replaced_layers_stay(small):
    network, images = build(small, 'dwconv'), torch.randn(1, 3, 64, 64)
    mlp = network.stages[0].encoder.level3[0].mlp
    mlp.pwconv2 = nn.Sequential(mlp.pwconv2, nn.Tanh())
    with torch.no_grad():
        expected = network(images)
        fuse(network)
        assert mlp.gamma is not None
        for ours, theirs in zip(network(images), expected, strict=True):
            assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


def test_training_mode_is_refused(small):
    with pytest.raises(ValueError, match=r'call model\.eval\(\) before it'):
        fuse(CEDNet(small))
