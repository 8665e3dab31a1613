"""Features stay channels-last in memory from stage to stage: nothing is copied to another layout."""

import json

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from mmcednet.models import CEDNet
from mmcednet.models.stage import STYLES

IMAGES = 3  # not the first dimension of any weights


@pytest.fixture(autouse=True)
def two_threads():
    """With one thread torch computes small convolutions in another way, which copies its result."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def count_copies(profiler, path):
    """Copies of features (``IMAGES``, C, H, W) to another memory layout."""
    profiler.export_chrome_trace(str(path))
    count = 0
    for event in json.loads(path.read_text())['traceEvents']:
        if event.get('name') == 'aten::copy_':
            if 'Input Strides' not in event['args']:
                pytest.skip('this torch does not record strides')
            shape = event['args']['Input Dims'][0]
            target, source = map(get_layout, event['args']['Input Strides'][:2])
            count += len(shape) == 4 and shape[0] == IMAGES and target != source
    return count


def get_layout(strides):
    """Dimensions in the order of memory."""
    return sorted(range(len(strides)), key=lambda index: -strides[index])


@pytest.mark.parametrize('style', STYLES)
def test_no_copies_of_features_in_the_stages(small, style, tmp_path):
    network = CEDNet(dict(small, blocks=(1, 2, 2, 2), num_stages=2), style=style)
    _, x = network.stem(torch.randn(IMAGES, 3, 96, 160))
    x = x.detach().requires_grad_()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as forward:
        outs = network.stages[1](network.stages[0](x)[3]).values()
    outs = list(outs)
    grads = [torch.ones_like(out) for out in outs]
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as backward:
        torch.autograd.backward(outs, grads)
    for profiler in (forward, backward):
        assert count_copies(profiler, tmp_path / 'trace.json') == 0
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in outs)


def test_copies_are_seen(tmp_path):
    conv = torch.nn.Conv2d(8, 8, 3)
    x = torch.randn(IMAGES, 8, 16, 16)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        conv(x.to(memory_format=torch.channels_last)).contiguous()
    assert count_copies(profiler, tmp_path / 'trace.json') == 2
