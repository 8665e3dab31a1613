"""Channel LayerNorm and stochastic depth against their definitions."""

import collections

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmcednet.models.layers import DropPath, LayerNorm2d, add, compute, recompute


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
    norm = torch.nn.Sequential(LayerNorm2d(64), torch.nn.GELU())
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


def test_sums_are_written_into_the_second_operand_only_without_gradients():
    x, y = torch.ones(2), torch.ones(2, requires_grad=True)
    total = add(x, y)
    assert total.tolist() == [2, 2]
    assert y.tolist() == [1, 1]
    with torch.no_grad():
        other = torch.ones(2)
        assert add(x, other) is other
        assert other.tolist() == [2, 2]
        half = torch.ones(2, dtype=torch.bfloat16)  # in mixed precision, the sum is in float32
        assert add(x, half).dtype == torch.float32
        assert half.tolist() == [1, 1]
    assert x.tolist() == [1, 1]


class Counter(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self):
        super().__init__()
        self.calls = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


def test_recomputing_repeats_no_matrix_product():
    norm, first, second = torch.nn.LayerNorm(8), torch.nn.Linear(8, 32), torch.nn.Linear(32, 8)
    x = torch.randn(2, 4, 4, 8, requires_grad=True)
    calls = []
    for run in (compute, recompute):
        y = run(lambda x: first(norm(x)), x)
        y = run(lambda y: second(torch.nn.functional.gelu(y)), y)
        with Counter() as counter:
            y.sum().backward()
        calls.append(counter.calls)
    expected = collections.Counter(gelu=1, native_layer_norm=1)
    names = ('mm', 'addmm', 'gelu', 'native_layer_norm')
    assert {name: calls[1][name] - calls[0][name] for name in names} == {
        name: expected[name] for name in names
    }
    assert calls[0]['mm'] == 4
