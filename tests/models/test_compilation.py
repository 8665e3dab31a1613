"""Blocks compiled with torch.compile: same outputs and gradients, for images of any size."""

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from mmcednet.models import CEDNet, compile_blocks

SIZES = [(65, 99), (96, 64), (64, 160), (130, 70)]  # the first two are compiled

OLD = not hasattr(torch.compiler, 'is_compiling')
needs_new_torch = pytest.mark.skipif(OLD, reason='torch is older than 2.3')


@pytest.fixture(autouse=True)
def reset_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def build(small, mixer):
    """Several blocks per level, each with its own rate of stochastic depth."""
    torch.manual_seed(0)
    arch = dict(small, blocks=(2, 2, 2, 2), num_stages=2)
    network = CEDNet(arch, mixer=mixer, drop_path_rate=0.3, layer_scale=0.5, pyramid=dict(channels=8))
    network.init_weights()
    return network.double()


@needs_new_torch
@pytest.mark.parametrize('mixer', ['dwconv', pytest.param('conv', marks=pytest.mark.slow)])
def test_same_results_without_compiling_for_each_size(small, mixer):
    network, compiled = build(small, mixer), build(small, mixer)
    counter = CompileCounterWithBackend('eager')
    compile_blocks(compiled, counter)
    counts = []
    for size in SIZES:
        images = torch.randn(2, 3, *size, dtype=torch.float64)
        outs = []
        for model in (network, compiled):
            torch.manual_seed(1)  # of stochastic depth
            outs.append(model(images))
            model.zero_grad()
            # not squares: their mean after a LayerNorm is constant
            sum(out.sin().sum() for out in outs[-1]).backward()
        for ours, theirs in zip(*outs, strict=True):
            torch.testing.assert_close(ours, theirs)
        for ours, theirs in zip(compiled.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-6)
        counts.append(counter.frame_count)
    assert 0 < counts[0] <= 8  # widths and long-range blocks, not blocks
    assert counts[1:] == counts[1:2] * 3
    network.eval(), compiled.eval()
    for size in SIZES:
        images = torch.randn(2, 3, *size, dtype=torch.float64)
        with torch.no_grad():
            for ours, theirs in zip(compiled(images), network(images), strict=True):
                torch.testing.assert_close(ours, theirs)
        counts.append(counter.frame_count)
    assert counts[-3:] == counts[-3:-2] * 3


@needs_new_torch
def test_names_of_weights_stay(small):
    network = build(small, 'dwconv')
    names = list(network.state_dict())
    compile_blocks(nn.Sequential(network), 'eager')
    assert list(network.state_dict()) == names


@pytest.mark.skipif(not OLD, reason='torch is new enough')
def test_old_torch_is_refused(small):
    with pytest.raises(ValueError, match=r'compiling needs torch 2\.3 or newer, but this is torch 2\.'):
        compile_blocks(CEDNet(small))


def test_a_model_without_cednet_is_refused():
    with pytest.raises(ValueError, match='there is no CEDNet in the model'):
        compile_blocks(nn.Linear(2, 2))
