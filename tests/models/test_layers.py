"""Each layer against its definition."""

import pytest
import torch

from mmcednet.models.layers import (
    MLP,
    DepthwiseConv2d,
    DropPath,
    LayerNorm2d,
    NormAct2d,
)


def test_layer_norm_is_over_channels():
    norm = LayerNorm2d(6).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    for n, h, w in ((0, 0, 0), (1, 2, 3)):
        pixel = x[n, :, h, w]
        expected = (pixel - pixel.mean()) / (pixel.var(unbiased=False) + 1e-6).sqrt()
        torch.testing.assert_close(norm(x)[n, :, h, w], expected * norm.weight + norm.bias)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('size', [(1, 1), (1, 2), (2, 2), (4, 4), (8, 9), (25, 40)])
def test_layer_norm_before_gelu_equals_float64(size, memory_format):
    """As in the stem: the gradient arrives in either memory layout."""
    norm = NormAct2d(64)
    x, grad = torch.randn(2, 64, *size), torch.randn(2, 64, *size).to(memory_format=memory_format)
    grads = []
    for dtype in (torch.float32, torch.float64):
        x_ = x.to(dtype, copy=True).requires_grad_()
        norm.to(dtype)(x_).backward(grad.to(dtype))
        grads.append(x_.grad.double())
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


def test_drop_path_keeps_the_expectation_and_whole_samples():
    drop = DropPath(0.25).train()
    out = drop(torch.ones(4000, 2, 3, 3))
    values = out.flatten(1)
    assert (values == values[:, :1]).all()
    kept = values[:, 0][values[:, 0] > 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 4 / 3))
    assert 0 < len(kept) < len(values)
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(torch.ones(3, 1)), torch.ones(3, 1))


def test_drop_path_rate_can_be_changed():
    drop = DropPath()
    assert torch.equal(drop.train()(torch.ones(8, 1)), torch.ones(8, 1))
    drop.set_rate(0.5)
    assert set(drop(torch.ones(1000, 1)).flatten().tolist()) == {0.0, 2.0}
    with pytest.raises(ValueError, match=r'drop path rate 1\.0 is not in \[0, 1\)'):
        drop.set_rate(1.0)


@pytest.mark.parametrize('layer_scale', [0.0, 0.5])
def test_mlp_equals_its_equation(layer_scale):
    mlp = MLP(6, layer_scale).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    one, two = mlp.pwconv1, mlp.pwconv2
    hidden = x @ one.weight.t() + one.bias
    hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    expected = (hidden @ two.weight.t() + two.bias) * (layer_scale or 1)
    torch.testing.assert_close(mlp(x), expected)


@pytest.mark.parametrize('dilation', [1, 3])
def test_depthwise_convolution_equals_its_equation(dilation):
    """The sum of 49 shifted images."""
    conv = DepthwiseConv2d(5, dilation).double()
    x = torch.randn(2, 5, 9, 10, dtype=torch.float64)
    padded = torch.nn.functional.pad(x, [3 * dilation] * 4)
    expected = conv.bias[:, None, None] + sum(
        conv.weight[:, 0, row, column, None, None]
        * padded[..., dilation * row :, dilation * column :][..., :9, :10]
        for row in range(7)
        for column in range(7)
    )
    torch.testing.assert_close(conv(x), expected)
