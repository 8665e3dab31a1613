"""The operators in Triton on a GPU against the reference in float64."""

import pytest
import torch
from operator_checks import TOLERANCES, compare, draw, draw_weights

from mmcednet.models import ARCHS, kernels

pytestmark = pytest.mark.skipif(
    kernels.triton is None, reason=f'no operators in Triton: {kernels.explain_without_triton()}'
)
each_dtype = pytest.mark.parametrize('dtype', TOLERANCES, ids=str)
each_size = pytest.mark.parametrize('size', [(2, 50, 83), (3, 7, 1)], ids=str)
each_width = pytest.mark.parametrize('width', ARCHS['tiny']['channels'])


@pytest.fixture
def sized(device, size):
    """The size; on a CPU at most 2x3 px."""
    n, height, width = size
    return size if device.type == 'cuda' else (n, min(height, 2), min(width, 3))


@each_dtype
@each_size
@each_width
@pytest.mark.parametrize('dilation', [1, 3])
def test_depthwise_conv(device, dtype, sized, width, dilation):
    n, height, columns = sized
    x = draw(n, width, height, columns, dtype=dtype, device=device)
    weights = draw(width, 1, 7, 7, device=device), draw(width, device=device)
    compare(kernels.triton, 'depthwise_conv', (x, *weights, dilation), TOLERANCES[dtype])


@each_dtype
@each_size
@each_width
@pytest.mark.parametrize('gelu', [False, True])
def test_norm_act(device, dtype, sized, width, gelu):
    x, shortcut = (draw(*sized, width, dtype=dtype, device=device) for _ in range(2))
    weights = draw(width, device=device), draw(width, device=device)
    operands = (x, *weights, 1e-6, gelu, shortcut if gelu else None)
    compare(kernels.triton, 'norm_act', operands, TOLERANCES[dtype])


@each_dtype
@each_size
@each_width
def test_mlp(device, dtype, sized, width):
    x = draw(*sized, width, dtype=dtype, device=device)
    operands = (x, *draw_weights(width, device))
    compare(kernels.triton, 'mlp', operands, TOLERANCES[dtype])


@each_dtype
@each_width
@pytest.mark.parametrize('gelu', [False, True])
def test_norm_mlp(device, dtype, width, gelu):
    """Without gradients in one kernel, at some widths; shortcut, norm and residual."""
    size = (2, 25, 41) if device.type == 'cuda' else (2, 2, 3)
    x, shortcut, residual = (draw(*size, width, dtype=dtype, device=device) for _ in range(3))
    norm = draw(width, device=device), draw(width, device=device), 1e-6, gelu
    operands = (
        *(x, *norm, shortcut if gelu else None),
        *(*draw_weights(width, device), residual, None),
    )
    compare(kernels.triton, 'norm_mlp', operands, TOLERANCES[dtype])


def test_more_elements_than_an_integer_has(gpu):
    """2^31, in the last image."""
    n, width, height = 9, 256, 1024
    x = torch.zeros(n, height, height, width, dtype=torch.bfloat16, device=gpu)
    assert x.numel() > 2**31
    x[-1] = torch.randn(height, height, width, dtype=torch.bfloat16, device=gpu)
    weights = draw(width, device=gpu), draw(width, device=gpu)
    last = kernels.reference.norm_act(x[-1:].float(), *weights, 1e-6, True)
    ours = kernels.triton.norm_act(x, *weights, 1e-6, True)[-1:]
    assert (ours - last).abs().max() < 4e-2 * last.abs().max()
    weight = draw(width, 1, 7, 7, device=gpu)
    x = x.permute(0, 3, 1, 2)
    last = kernels.reference.depthwise_conv(x[-1:].float(), weight, None, 1)
    ours = kernels.triton.depthwise_conv(x, weight, None, 1)[-1:]
    assert (ours - last).abs().max() < 4e-2 * last.abs().max()
