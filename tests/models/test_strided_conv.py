"""Strided convolutions in low precision."""

import pytest
import torch

from mmcednet.models.strided_conv import StridedConv2d


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize(
    ('kernel', 'size'), [(2, (2, 2)), (2, (12, 3)), (3, (9, 1)), (3, (1, 1)), (3, (9, 4))], ids=str
)
def test_strided_convolution_in_bfloat16(kernel, size, autocast):
    """Output and gradients do not depend on what was in memory before."""
    layer = StridedConv2d(32, 64, kernel, stride=2, padding=kernel // 3)
    x = torch.randn(2, 32, *size).bfloat16().float()

    def compute(layer, x):
        x = x.detach().requires_grad_()
        out = layer(x)
        torch.manual_seed(1)
        grads = torch.autograd.grad(out, [x, *layer.parameters()], torch.randn(out.shape).to(out))
        return [out, *grads]

    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter.bfloat16())
    expected = compute(layer, x)
    fill_freed_memory()
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        ours = compute(layer, x) if autocast else compute(layer.bfloat16(), x.bfloat16())
    assert ours[0].dtype == torch.bfloat16
    for our, their in zip(ours, expected, strict=True):
        assert (our - their).abs().max() <= 0.02 * their.abs().max()


def fill_freed_memory():
    """With numbers that are no features."""
    [torch.full((2**power,), float('nan')) for power in range(4, 17) for _ in range(4)]
