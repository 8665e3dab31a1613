"""Depth-wise convolutions: outputs and gradients are those of torch's convolution."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mmcednet.models.depthwise import DepthwiseConv2d

SIZES = [(1, 1), (2, 9), (6, 8), (7, 7), (16, 13), (25, 40)]


def build(dilation=1, dtype=torch.float64):
    torch.manual_seed(0)
    return DepthwiseConv2d(5, dilation).to(dtype)


def compute_reference(conv, x):
    return F.conv2d(x, conv.weight, conv.bias, 1, 3 * conv.dilation[0], conv.dilation, groups=5)


def compute_gradients(function, conv, x, weights):
    """Output, and gradients with respect to image, weights and bias."""
    out = function(x)
    return [out, *torch.autograd.grad((out * weights).sum(), (x, conv.weight, conv.bias))]


@pytest.mark.parametrize('dilation', [1, 3])
@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('layouts', ['last last', 'first last', 'last first'])
def test_outputs_and_gradients(dilation, size, layouts):
    conv = build(dilation)
    images, weights = (
        torch.randn(2, *size, 5, dtype=torch.float64).permute(0, 3, 1, 2)
        if layout == 'last'
        else torch.randn(2, 5, *size, dtype=torch.float64)
        for layout in layouts.split()
    )
    images.requires_grad_()
    ours = compute_gradients(conv, conv, images, weights)
    theirs = compute_gradients(lambda x: compute_reference(conv, x), conv, images, weights)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)
    with torch.no_grad():
        torch.testing.assert_close(conv(images), theirs[0])


@pytest.mark.parametrize('constant', [False, True])
@pytest.mark.parametrize('dilation', [1, 3])
@pytest.mark.parametrize('size', SIZES)
def test_single_precision(dilation, size, constant):
    """What torch computes in float32, by other kernels than in float64, against float64."""
    exact, conv = build(dilation), build(dilation, torch.float32)
    images = torch.full((2, 5, *size), 3.0) if constant else torch.randn(2, 5, *size)
    images, weights = (
        x.to(memory_format=torch.channels_last) for x in (images, torch.randn(2, 5, *size))
    )
    ours = compute_gradients(conv, conv, images.requires_grad_(), weights)
    doubles = images.detach().double().requires_grad_(), weights.double()
    theirs = compute_gradients(lambda x: compute_reference(exact, x), exact, *doubles)
    for our, their in zip(ours, theirs, strict=True):
        error = (our - their).abs().max() / their.abs().max()
        assert error < 1e-5


@pytest.mark.parametrize('dilation', [1, 3])
def test_second_derivatives(dilation):
    conv = build(dilation)
    images = torch.randn(1, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    inputs = (images, conv.weight, conv.bias)
    assert torch.autograd.gradcheck(lambda x, *_: conv(x), inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x, *_: conv(x), inputs, fast_mode=True)


def test_gradients_per_sample():
    """torch.func's transforms reach the convolution."""
    conv, images = build(), torch.randn(3, 5, 4, 6, dtype=torch.float64)

    def compute_loss(weight, image):
        return torch.func.functional_call(conv, {'weight': weight}, (image[None],)).square().sum()

    ours = torch.func.vmap(torch.func.grad(compute_loss), (None, 0))(conv.weight.detach(), images)
    for our, image in zip(ours, images, strict=True):
        (their,) = torch.autograd.grad(compute_reference(conv, image[None]).square().sum(), conv.weight)
        torch.testing.assert_close(our, their)


def test_frozen_weights_get_no_gradient():
    conv = build().requires_grad_(False)
    images = torch.randn(1, 5, 8, 8, dtype=torch.float64, requires_grad=True)
    conv(images).sum().backward()
    assert images.grad is not None
    assert conv.weight.grad is None and conv.bias.grad is None


def test_images_without_gradient():
    conv = build()
    conv(torch.randn(1, 5, 8, 8, dtype=torch.float64)).sum().backward()
    torch.testing.assert_close(conv.bias.grad, torch.full((5,), 64.0, dtype=torch.float64))


@pytest.mark.parametrize('dilation', [1, 3])
def test_autocast(dilation):
    conv, images = build(dilation, torch.float32), torch.randn(1, 5, 12, 12, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16):
        out = conv(images)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), compute_reference(conv, images), rtol=0.05, atol=0.05)
    out.float().sum().backward()
    assert conv.weight.grad.dtype == torch.float32


@pytest.mark.parametrize('dilation', [1, 3])
def test_channels_last_is_kept(dilation):
    conv = build(dilation)
    images = torch.randn(2, 5, 7, 8, dtype=torch.float64).to(memory_format=torch.channels_last)
    assert conv(images).is_contiguous(memory_format=torch.channels_last)


def test_exporters_record_one_convolution():
    conv = build(3)
    program = torch.export.export(conv, (torch.randn(1, 5, 8, 8, dtype=torch.float64),))
    called = [node.target for node in program.graph.nodes if node.op == 'call_function']
    aten = torch.ops.aten
    assert called in ([aten.conv2d.default], [aten.convolution.default])  # the latter with torch 2.1


class GradientRecorder(TorchDispatchMode):
    """Records the shapes of the weights in the gradients of convolutions."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func == torch.ops.aten.convolution_backward.default:
            self.shapes.append(tuple(args[2].shape))
        return func(*args, **(kwargs or {}))


def test_weights_gradient_has_at_most_three_columns():
    """Those of more columns are slow."""
    conv, images = build(), torch.randn(1, 5, 8, 8, dtype=torch.float64)
    with GradientRecorder() as recorder:
        conv(images).sum().backward()
    assert recorder.shapes == [(5, 1, 7, 3), (5, 1, 7, 3), (5, 1, 7, 1)]
