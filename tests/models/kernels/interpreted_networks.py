"""Networks with the operators in Triton, in its interpreter; test_triton.py runs the quick ones."""

import collections

import pytest
import torch
from operator_checks import draw
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmcednet.analysis.speed import count_traffic, count_work
from mmcednet.models import CEDNet, kernels, use_kernels
from mmcednet.models.blocks import CEDBlock
from mmcednet.models.execution import describe_kernels
from mmcednet.models.kernels import triton
from mmcednet.models.layers import MLP, DropPath

assert kernels.triton is triton and triton.INTERPRETED


def build(style, mixer, **pyramid):
    torch.manual_seed(0)
    channels = (32, 32, 64, 80) if mixer == 'cross_window' else (32, 32, 64, 64)
    arch = dict(channels=channels, blocks=(1, 1, 1, 1), num_stages=1)
    network = CEDNet(
        arch, style, mixer, layer_scale=0.5, drop_path_rate=0.3, pyramid=dict(channels=8, **pyramid)
    )
    return network, torch.randn(2, 3, 32, 33)


def to_double(network):
    """With the random numbers of stochastic depth in float32, as before."""
    for module in network.double().modules():
        if isinstance(module, DropPath):
            module.keep = module.keep.float()
    return network


def compute(network, images):
    torch.manual_seed(1)  # of stochastic depth
    network.zero_grad()
    outs = network.train()(images)
    # not of squares, whose mean is the same after any LayerNorm
    sum(out.float().sin().mean() for out in outs).backward()
    network.eval()
    with torch.no_grad():
        outs += network(images)
    return [out.float() for out in outs], torch.cat(
        [param.grad.flatten() for param in network.parameters()]
    )


@pytest.fixture
def calls(monkeypatch):
    """Count the calls of operators in Triton."""
    counter = collections.Counter()
    for name in ('depthwise_conv', 'norm_act', 'mlp', 'norm_mlp'):
        function = getattr(triton, name)

        def call(*args, name=name, function=function, **settings):
            counter[name] += 1
            return function(*args, **settings)

        monkeypatch.setattr(triton, name, call)
    return counter


OPERATORS = {
    'dwconv': {'depthwise_conv', 'norm_act', 'norm_mlp'},
    'conv': {'depthwise_conv'},
    'window': {'depthwise_conv', 'norm_act', 'mlp'},
    'cross_window': {'norm_act', 'mlp'},
}
NETWORKS = [
    ('fpn', 'dwconv'),
    *(
        pytest.param(style, mixer, marks=pytest.mark.slow)
        for style, mixer in [
            ('hourglass', 'dwconv'),
            ('unet', 'conv'),
            ('unet', 'window'),
            ('fpn', 'cross_window'),
        ]
    ),
]


@pytest.mark.parametrize(('style', 'mixer'), NETWORKS)
def test_networks(calls, style, mixer):
    """Forward and backward with stochastic depth, and without gradients, against float64."""
    network, images = build(style, mixer)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    outs, grads = compute(network, images)
    assert set(calls) - {'norm_act'} == OPERATORS[mixer] - {'norm_act'}
    calls.clear()
    network.load_state_dict(state)
    use_kernels(network, False)
    expected, expected_grads = compute(to_double(network), images.double())
    assert not calls
    for ours, theirs in zip(outs, expected, strict=True):
        assert (ours - theirs).norm() < 1e-5 * theirs.norm()
    # BatchNorm of two values, at stride 32, magnifies the rounding of float32
    tolerance = 1e-3 if mixer == 'conv' else 1e-4
    assert (grads - expected_grads).norm() < tolerance * expected_grads.norm()


@pytest.mark.slow
@pytest.mark.parametrize(('style', 'mixer'), [('fpn', 'dwconv'), ('unet', 'window')])
def test_networks_in_mixed_precision(calls, style, mixer):
    """Against float64: at most three times as far from it as plain torch in bfloat16."""
    network, images = build(style, mixer)
    results = []
    for enabled in (True, False):
        use_kernels(network, enabled)
        with torch.autocast('cpu', torch.bfloat16):
            results.append(compute(network, images))
        assert calls['depthwise_conv']
    outs, grads = compute(to_double(network), images.double())
    ours, theirs = (
        [(own[1] - grads).norm(), *((out - their).norm() for out, their in zip(own[0], outs))]
        for own in results
    )
    assert all(our < 3 * their for our, their in zip(ours, theirs, strict=True))


def test_hooks_are_called(calls):
    """Operators that would not call a module with hooks are not used."""
    network, _ = build('fpn', 'dwconv')
    block = network.stem.blocks[0].eval()
    x = draw(1, 32, 3, 4)
    with torch.no_grad():
        expected = block(x)
        assert calls['norm_mlp'] == 1
        for module in (block.norm, block.mlp, block.mlp.act, block.drop_path):
            seen = []
            handle = module.register_forward_hook(lambda *_, seen=seen: seen.append(1))
            torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)
            handle.remove()
            assert seen == [1] and calls['norm_mlp'] == 1
        block.norm = nn.Identity()
        block(x)
    assert calls['norm_mlp'] == 1


@pytest.mark.parametrize('kind', [CEDBlock, MLP])
def test_training_without_gradients_is_that_with_them(kind):
    """A reversible network computes a layer once without and once with them."""
    module = nn.Sequential(kind(48, layer_scale=1.0)).train()
    use_kernels(module)
    x = draw(1, 48, 2, 3) if kind is CEDBlock else draw(1, 2, 3, 48)
    outs = []
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled), torch.autocast('cpu', torch.bfloat16):
            outs.append(module(x))
    assert torch.equal(*outs)


@torch.no_grad()
def test_traffic_is_that_of_the_operators():
    """Although torch's counter of FLOP registers hooks, with which the layers are called one by one."""
    block = nn.Sequential(CEDBlock(32, layer_scale=1.0)).eval()
    use_kernels(block)
    x = draw(1, 32, 2, 3).bfloat16()

    def step():
        with torch.autocast('cpu', torch.bfloat16):
            block(x)

    own = count_traffic(step)
    assert count_work(step).traffic == own
    with FlopCounterMode(display=False):
        assert count_traffic(step) > own


def test_the_log_names_the_operators():
    network, _ = build('fpn', 'dwconv')
    assert describe_kernels(network) == 'Triton (MMCEDNET_TRITON=1)'
    use_kernels(network, False)
    assert describe_kernels(network) == ''
