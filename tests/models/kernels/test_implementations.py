"""The operators for a CPU, and the reference itself, against the reference in float64."""

import itertools
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmcednet.models import kernels
from mmcednet.models.kernels import cpu, reference

IMPLEMENTATIONS = {'reference': reference, 'cpu': cpu}
SIZES = [(1, 1), (2, 9), (6, 8), (7, 7), (16, 13)]
CHANNELS = 5
# of the largest value: the rounding of sums over up to 400 pixels
TOLERANCES = {torch.float64: 1e-13, torch.float32: 1e-5, torch.bfloat16: 0.05}


class Case(NamedTuple):
    """An operator, its arguments other than tensors, and the shapes of its weights."""

    operator: str
    settings: dict
    weights: tuple[tuple[int, ...], ...]
    channels_last: bool = False  # whether it takes (N, H, W, C)


C, D = CHANNELS, 4 * CHANNELS
CASES = {
    'depthwise_conv': Case('depthwise_conv', dict(dilation=1), ((C, 1, 7, 7), (C,))),
    'dilated depthwise_conv': Case('depthwise_conv', dict(dilation=3), ((C, 1, 7, 7), (C,))),
    'mlp': Case('mlp', {}, ((D, C), (D,), (C, D), (C,), (C,)), channels_last=True),
    'mlp without gamma': Case('mlp', dict(gamma=None), ((D, C), (D,), (C, D), (C,)), True),
}


def get_function(module: ModuleType, case: Case) -> Callable[..., Tensor]:
    return partial(getattr(module, case.operator), **case.settings)


def make_operands(case: Case, size: tuple[int, int], dtype: torch.dtype) -> list[Tensor]:
    """Features, weights, and the gradient of the output, of numbers that all types have."""
    features = (2, *size, C) if case.channels_last else (2, C, *size)
    shapes = (features, *case.weights, features)
    return [torch.randn(shape).to(torch.bfloat16).to(dtype) for shape in shapes]


def compute(function: Callable[..., Tensor], operands: list[Tensor]) -> list[Tensor]:
    """The output and the gradients of all operands."""
    *inputs, grad = operands
    inputs = [each.detach().clone(memory_format=torch.preserve_format) for each in inputs]
    inputs = [each.requires_grad_() for each in inputs]
    out = function(*inputs)
    return [out, *torch.autograd.grad(out, inputs, grad)]


LAYOUTS = ('as it is', 'permuted', 'with gaps')
PAIRS = list(itertools.product(LAYOUTS, repeat=2))  # of features and gradient


def set_layout(x: Tensor, layout: str) -> Tensor:
    """The same numbers in another order of memory, or with gaps between them."""
    if layout == 'permuted':
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    return torch.stack([x, x], dim=-1)[..., 0] if layout == 'with gaps' else x


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Parts of 5 pixels in float64, so that the images have several and an incomplete one."""
    monkeypatch.setattr(cpu, 'CHUNK_BYTES', 5 * D * 8)


each_implementation = pytest.mark.parametrize('implementation', IMPLEMENTATIONS)
each_case = pytest.mark.parametrize('case', CASES)


@each_implementation
@each_case
@pytest.mark.parametrize('dtype', TOLERANCES, ids=str)
@pytest.mark.parametrize('size', SIZES)
def test_outputs_and_gradients(implementation, case, dtype, size):
    case = CASES[case]
    operands = make_operands(case, size, dtype)
    expected = compute(get_function(reference, case), [each.double() for each in operands])
    function = get_function(IMPLEMENTATIONS[implementation], case)
    features, *weights, grad = operands
    for x_layout, grad_layout in PAIRS:
        x, grad_ = set_layout(features, x_layout), set_layout(grad, grad_layout)
        ours = compute(function, [x, *weights, grad_])
        with torch.no_grad():
            ours.append(function(x, *weights))
        for our, their in zip(ours, [*expected, expected[0]], strict=True):
            assert our.dtype == dtype
            error = (our - their).abs().max() / their.abs().max()
            assert error < TOLERANCES[dtype], (x_layout, grad_layout)


@each_case
@torch.no_grad()
def test_low_precision_on_a_cpu(case):
    """In autocast, with features of either type: the operators, and what they compute."""
    case = CASES[case]
    features, *weights, _ = make_operands(case, (16, 13), torch.float32)
    expected = get_function(reference, case)(features.double(), *(each.double() for each in weights))
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast('cpu', torch.bfloat16):
            compute = kernels.find(case.operator, features.to(dtype), *weights)
            ours = compute(features.to(dtype), *weights, *case.settings.values())
        assert compute.func is kernels.compute_in_low_precision and ours.dtype == torch.bfloat16
        assert (ours - expected).abs().max() < TOLERANCES[torch.bfloat16] * expected.abs().max()


@each_implementation
@each_case
def test_constant_images(implementation, case):
    case = CASES[case]
    operands = make_operands(case, (9, 8), torch.float64)
    operands[0].fill_(3.0)
    expected = compute(get_function(reference, case), operands)
    ours = compute(get_function(IMPLEMENTATIONS[implementation], case), operands)
    for our, their in zip(ours, expected, strict=True):
        torch.testing.assert_close(our, their)


@each_implementation
@each_case
def test_first_and_second_derivatives(implementation, case):
    case = CASES[case]
    *inputs, _ = make_operands(case, (3, 2), torch.float64)
    inputs = [each.requires_grad_() for each in inputs]
    function = get_function(IMPLEMENTATIONS[implementation], case)
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@each_implementation
@each_case
@pytest.mark.parametrize('trained', ['features', 'weights'])
def test_only_needed_gradients(implementation, case, trained):
    case = CASES[case]
    features, *weights, _ = make_operands(case, (4, 4), torch.float64)
    for each in [features] if trained == 'features' else weights:
        each.requires_grad_()
    get_function(IMPLEMENTATIONS[implementation], case)(features, *weights).sum().backward()
    assert (features.grad is not None) == (trained == 'features')
    assert all((each.grad is not None) == (trained == 'weights') for each in weights)


@each_implementation
@pytest.mark.parametrize('case', ['depthwise_conv', 'dilated depthwise_conv'])
def test_convolutions_keep_channels_last(implementation, case):
    case = CASES[case]
    features, *weights, _ = make_operands(case, (7, 8), torch.float64)
    features = features.to(memory_format=torch.channels_last)
    out = get_function(IMPLEMENTATIONS[implementation], case)(features, *weights)
    assert out.is_contiguous(memory_format=torch.channels_last)


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
    """Those of more columns are slow on a CPU."""
    features, weight, bias, _ = make_operands(CASES['depthwise_conv'], (8, 8), torch.float64)
    weight.requires_grad_()
    with GradientRecorder() as recorder:
        cpu.depthwise_conv(features, weight, bias, 1).sum().backward()
    assert recorder.shapes == [(C, 1, 7, 3), (C, 1, 7, 3), (C, 1, 7, 1)]


def test_mlp_has_no_hidden_activations_of_the_whole_image_without_gradients():
    features, *weights, _ = make_operands(CASES['mlp'], (300, 4), torch.float64)
    with torch.profiler.profile(profile_memory=True) as profile:
        out = cpu.mlp(features, *weights)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest <= max(cpu.CHUNK_BYTES, out.nbytes) < 2400 * D * 8


def test_mlp_keeps_its_input_and_the_hidden_activations():
    features, *weights, _ = make_operands(CASES['mlp'], (6, 4), torch.float64)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        cpu.mlp(features, *(weight.requires_grad_() for weight in weights))
    weights_kept = sum(weight.numel() for weight in weights)
    assert sum(x.numel() for x in kept) == weights_kept + features.numel() + features.numel() // C * D
