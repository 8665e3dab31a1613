"""Features stay channels-last in memory from stage to stage: nothing is copied to another layout."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from mmcednet.models import CEDNet
from mmcednet.models.stage import STYLES


@pytest.fixture(autouse=True)
def two_threads():
    """With one thread torch computes small convolutions in another way, which copies its result."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def count_copies(profiler, parameters):
    """Copies of features, which have four dimensions, as have weights of convolutions."""
    weights = {tuple(parameter.shape) for parameter in parameters}
    shapes = [event.input_shapes[0] for event in profiler.events() if event.name == 'aten::copy_']
    return sum(len(shape) == 4 and tuple(shape) not in weights for shape in shapes)


@pytest.mark.parametrize('style', STYLES)
def test_no_copies_of_features_in_the_stages(small, style):
    network = CEDNet(dict(small, blocks=(1, 2, 2, 2), num_stages=2), style=style)
    _, x = network.stem(torch.randn(3, 3, 96, 160))
    x = x.detach().requires_grad_()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as forward:
        outs = network.stages[1](network.stages[0](x)[0])
    grads = [torch.ones_like(out) for out in outs]
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as backward:
        torch.autograd.backward(outs, grads)
    for profiler in (forward, backward):
        assert count_copies(profiler, network.parameters()) == 0
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in outs)


def test_copies_are_seen():
    conv = torch.nn.Conv2d(8, 8, 3)
    x = torch.randn(2, 8, 16, 16)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        conv(x.to(memory_format=torch.channels_last)).contiguous()
    assert count_copies(profiler, conv.parameters()) >= 2
