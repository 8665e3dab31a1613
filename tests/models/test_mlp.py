"""The MLP of the blocks: computed in parts or as a whole, the outputs and gradients are the same."""

import pytest
import torch

from mmcednet.models import mlp
from mmcednet.models.layers import compute, is_plain_cpu, recompute

ROW_BYTES = 4 * 6 * 8  # of the hidden activations of a pixel, for 6 channels in float64


@pytest.fixture(params=[1, 5, 24, 1000])
def chunk(request, monkeypatch):
    """Pixels in a part; the images have 24."""
    monkeypatch.setattr(mlp, 'CHUNK_BYTES', request.param * ROW_BYTES)
    return request.param


def build(layer_scale, run=recompute):
    torch.manual_seed(0)
    return mlp.MLP(6, layer_scale, run).double()


def make_images(height=3):
    return torch.randn(2, height, 4, 6, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize('layer_scale', [0.0, 0.7])
def test_parts_equal_the_whole(chunk, layer_scale):
    images, weights = make_images(), torch.randn(2, 3, 4, 6, dtype=torch.float64)
    results = []
    for run in (compute, recompute):
        model = build(layer_scale, run)
        out = model(images)
        images.grad = None
        (out * weights).sum().backward()
        results.append([out, images.grad, *(param.grad for param in model.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
    with torch.no_grad():
        torch.testing.assert_close(model(images), results[0][0])


@pytest.mark.parametrize('layer_scale', [0.0, 0.7])
def test_gradients(chunk, layer_scale):
    model = build(layer_scale)
    params = tuple(model.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: model(x), (make_images(), *params), fast_mode=True)


def test_other_memory_layouts(chunk):
    model = build(0.7)
    images = torch.randn(2, 6, 3, 4, dtype=torch.float64).permute(0, 2, 3, 1).requires_grad_()
    weights = torch.randn(2, 6, 3, 4, dtype=torch.float64).permute(0, 2, 3, 1)
    grads = []
    for x in (images, images.detach().contiguous().requires_grad_()):
        (model(x) * weights).sum().backward()
        grads.append(x.grad)
    torch.testing.assert_close(*grads)


def test_frozen_weights_get_no_gradient():
    model = build(0.7).requires_grad_(False)
    images = make_images()
    model(images).sum().backward()
    assert images.grad is not None
    assert all(param.grad is None for param in model.parameters())


def test_no_hidden_activations_of_the_whole_image_without_gradients(chunk):
    model, images = build(0.7), make_images(height=300)
    with torch.no_grad(), torch.profiler.profile(profile_memory=True) as profile:
        out = model(images)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest <= max(chunk * ROW_BYTES, out.nbytes) < 2400 * ROW_BYTES


def test_autocast_computes_the_whole(chunk):
    """Parts would be computed in float32."""
    model, images = build(0.7).float(), make_images().float()
    with torch.autocast('cpu', torch.bfloat16):
        assert not is_plain_cpu(images)
        out = model(images)
    assert is_plain_cpu(images)
    torch.testing.assert_close(out.double(), build(0.7)(images.double()), rtol=0.05, atol=0.05)


def test_second_derivatives_are_refused():
    """Also where a layer before the MLP would have one, and autograd leave the MLP's out."""
    network, images = torch.nn.Sequential(torch.nn.LayerNorm(6).double(), build(0.7)), make_images()
    with pytest.raises(RuntimeError, match="build the network with recompute='none'"):
        torch.autograd.grad(network(images).square().sum(), images, create_graph=True)
    network[1].run = compute
    (grad,) = torch.autograd.grad(network(images).square().sum(), images, create_graph=True)
    grad.square().sum().backward()
    assert images.grad.abs().max() > 0


class ScaledLinear(torch.nn.Linear):
    """As an adapter, it computes something else from its weights."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_replaced_layers_are_called():
    model, images = build(0.7), make_images()
    model.pwconv1 = ScaledLinear(6, 24).double()
    expected = model.gamma * model.pwconv2(model.act(model.pwconv1(images)))
    torch.testing.assert_close(model(images), expected)
    with torch.no_grad():
        torch.testing.assert_close(model(images), expected)
    model.act = torch.nn.GELU(approximate='tanh')
    expected = model.gamma * model.pwconv2(model.act(model.pwconv1(images)))
    torch.testing.assert_close(model(images), expected)


@pytest.mark.parametrize('layer', ['pwconv1', 'act', 'pwconv2'])
@pytest.mark.parametrize('register', ['register_forward_hook', 'register_forward_pre_hook'])
def test_hooks_are_called(layer, register):
    model, calls = build(0.7), []
    handle = getattr(getattr(model, layer), register)(lambda *_: calls.append(layer))
    with torch.no_grad():
        model(make_images())
    assert calls == [layer]
    model(make_images())
    assert calls == [layer] * 2
    handle.remove()
    model(make_images())
    assert calls == [layer] * 2


def test_layers_without_bias():
    model, images = build(0.7), make_images()
    model.pwconv1.bias = None
    torch.testing.assert_close(
        model(images), model.gamma * model.pwconv2(model.act(images @ model.pwconv1.weight.t()))
    )
