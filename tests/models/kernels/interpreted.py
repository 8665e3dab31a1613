"""The operators in Triton, in Triton's interpreter, which computes on a CPU.

test_triton.py runs the quick ones in a process of its own, as Triton reads TRITON_INTERPRET when it is
imported; make test-triton runs all.
"""

import itertools

import pytest
import torch
from operator_checks import TOLERANCES, compare, draw, draw_weights
from torch._subclasses import FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only

from mmcednet.analysis.speed import count_flops
from mmcednet.models import ARCHS, kernels
from mmcednet.models.kernels import reference, triton

assert kernels.triton is triton and triton.INTERPRETED

WIDTHS = sorted({width for arch in ('tiny', 'small', 'base') for width in ARCHS[arch]['channels']})
SMALL = 48  # 32 + 16: an MLP in one kernel
each_dtype = pytest.mark.parametrize('dtype', TOLERANCES, ids=str)


def each_case(names, variants):
    """A pixel in each type and variant of an operator; several, and each width of T, S and B, once."""
    pairs = list(itertools.product(TOLERANCES, variants))
    cases = [(SMALL, (1, 1, 1), dtype, *variant) for dtype, variant in pairs]
    sizes = [(SMALL, (3, 2, 9))] * 4 + [(width, (1, 2, 3)) for width in WIDTHS]
    combinations = zip(sizes, itertools.cycle(TOLERANCES), itertools.cycle(variants))
    for (width, size), dtype, variant in combinations:
        cases.append(pytest.param(width, size, dtype, *variant, marks=pytest.mark.slow))
    return pytest.mark.parametrize(('channels', 'size', 'dtype', *names), cases, ids=str)


@each_case(['dilation'], [[1], [3]])
def test_depthwise_conv(channels, size, dtype, dilation):
    n, height, width = size
    operands = draw(n, channels, height, width, dtype=dtype), draw(channels, 1, 7, 7), draw(channels)
    out, *_ = compare(triton, 'depthwise_conv', (*operands, dilation), TOLERANCES[dtype])
    assert out.dtype == dtype and out.permute(0, 2, 3, 1).is_contiguous()


@pytest.mark.slow
@pytest.mark.parametrize(('size', 'dilation'), [((1, 6, 33), 1), ((2, 13, 17), 3)])
def test_depthwise_conv_of_several_tiles(size, dilation):
    n, height, width = size
    operands = draw(n, 40, height, width), draw(40, 1, 7, 7), draw(40), dilation
    compare(triton, 'depthwise_conv', operands, TOLERANCES[torch.float32])


@pytest.mark.parametrize('dilation', [1, 3])
def test_depthwise_conv_without_bias(dilation):
    x, weight = draw(1, SMALL, 4, 3), draw(SMALL, 1, 7, 7)
    ours = triton.depthwise_conv(x, weight, None, dilation)
    theirs = reference.depthwise_conv(x.double(), weight.double(), None, dilation)
    torch.testing.assert_close(ours, theirs, check_dtype=False, rtol=1e-5, atol=1e-5)


@each_case(['gelu', 'shortcut'], [*itertools.product((False, True), repeat=2)])
def test_norm_act(channels, size, dtype, gelu, shortcut):
    x = draw(*size, channels, dtype=dtype)
    operands = (
        x,
        draw(channels),
        draw(channels),
        1e-6,
        gelu,
        draw(*x.shape, dtype=dtype) if shortcut else None,
    )
    assert compare(triton, 'norm_act', operands, TOLERANCES[dtype])[0].dtype == dtype


def test_norm_without_weights():
    """As after fuse()."""
    compare(
        triton, 'norm_act', (draw(2, 3, 5, SMALL), None, None, 1e-6, True), TOLERANCES[torch.float32]
    )


@each_case(['scaled'], [[True], [False]])
def test_mlp(channels, size, dtype, scaled):
    *weights, gamma = draw_weights(channels)
    operands = draw(*size, channels, dtype=dtype), *weights, gamma if scaled else None
    assert compare(triton, 'mlp', operands, TOLERANCES[dtype])[0].dtype == dtype


@torch.no_grad()
def test_mlp_of_any_hidden_channels():
    """A pruned MLP, of which one kernel would compute a last tile that is not whole."""
    hidden, x = 4 * SMALL - 7, draw(2, 3, 3, SMALL, dtype=torch.bfloat16)
    weight1, bias1, weight2, *others = draw_weights(SMALL)
    operands = x, weight1[:hidden], bias1[:hidden], weight2[:, :hidden], *others
    expected = reference.mlp(*(each.double() for each in operands))
    assert (triton.mlp(*operands) - expected).norm() < 0.02 * expected.norm()


@each_dtype
@pytest.mark.parametrize('layer_scale', [0.0, 1e-6])
def test_small_layer_scale(dtype, layer_scale):
    """float16 has no number as small as 1e-6 times a weight."""
    operands = (
        draw(2, 3, 3, SMALL, dtype=dtype),
        *draw_weights(SMALL)[:-1],
        torch.full((SMALL,), layer_scale),
    )
    _, _, grad_x, *grads = compare(
        triton, 'mlp', operands, TOLERANCES[dtype] + 0.2 * (dtype == torch.float16)
    )
    assert grads[-1].norm() > 0 and (layer_scale == 0) == (grad_x.norm() == 0)


def test_layer_scale_below_the_range_of_float16():
    """As of a model in float16 as a whole, where 1e-8 is 0."""
    operands = [each.half() for each in (draw(1, 2, 2, SMALL), *draw_weights(SMALL)[:-1])]
    gamma = torch.full((SMALL,), 1e-8).half()
    inputs = [each.requires_grad_() for each in (*operands, gamma)]
    out = triton.mlp(*inputs)
    grads = torch.autograd.grad(out, inputs, torch.ones_like(out))
    assert all(grad.isfinite().all() for grad in grads) and grads[-1].any()


@each_case(['gelu', 'dropped'], [(True, False), (False, True)])
def test_norm_mlp(channels, size, dtype, gelu, dropped):
    """Without gradients, in low precision and at some widths, it is one kernel."""
    x, shortcut, residual = (draw(*size, channels, dtype=dtype) for _ in range(3))
    factors = torch.tensor([1.25, 0.0, 1.25])[: size[0]]
    operands = (
        *(x, draw(channels), draw(channels), 1e-6, gelu, shortcut if gelu else None),
        *(*draw_weights(channels), residual),
    )

    def get_with_factors(module):
        """The operator with the factors, which get no gradients."""

        def compute(x, norm_weight, *operands):
            own = factors.to(norm_weight.dtype) if dropped else None
            return module.norm_mlp(x, norm_weight, *operands, own)

        return compute

    assert compare(triton, get_with_factors, operands, TOLERANCES[dtype])[0].dtype == dtype


def differentiate_residual_mlp(operands, residual, factors, grad):
    inputs = [each.detach().requires_grad_() for each in (*operands, residual)]
    return torch.autograd.grad(triton.residual_mlp(*inputs, factors), inputs, grad)


def test_factors_in_low_precision():
    """A network whose buffers have been converted has such factors of stochastic depth."""
    x, residual, grad = (draw(2, 1, 3, SMALL, dtype=torch.bfloat16) for _ in range(3))
    operands, factors = (x, *draw_weights(SMALL)), torch.tensor([0.0, 1.25])
    ours, theirs = (
        differentiate_residual_mlp(operands, residual, factors.to(dtype), grad)
        for dtype in (torch.bfloat16, torch.float32)
    )
    assert all(our.equal(their) for our, their in zip(ours, theirs, strict=True))


def test_no_images():
    """With stochastic depth: all gradients are those of an empty sum."""
    x, residual, grad = (draw(0, 2, 3, SMALL) for _ in range(3))
    weights, no_factors = draw_weights(SMALL), torch.empty(0)
    grads = differentiate_residual_mlp((x, *weights), residual, no_factors, grad)
    assert grads[0].shape == x.shape and not any(each.any() for each in grads)


def test_gradients_in_the_range_of_float16():
    """They are sums over many pixels, large before the layer scale and small after it."""
    pixels, scale = 1024, 1e-6
    *weights, _ = draw_weights(SMALL)
    operands = draw(1, 1, pixels, SMALL), *weights, torch.full((SMALL,), scale)
    ours, theirs = (
        [each.detach().to(dtype).requires_grad_() for each in operands]
        for dtype in (torch.float32, torch.float64)
    )
    with torch.autocast('cpu', torch.float16):
        out = triton.mlp(*ours)
    grads = torch.autograd.grad(out, ours, torch.full_like(out, 256.0))
    expected = reference.mlp(*theirs)
    for our, their in zip(
        grads, torch.autograd.grad(expected, theirs, torch.full_like(expected, 256.0)), strict=True
    ):
        assert (our - their).norm() < 0.01 * their.norm()


@pytest.mark.parametrize('operator', ['depthwise_conv', 'dilated depthwise_conv', 'norm_act', 'mlp'])
def test_second_derivatives(operator):
    """They are those of the reference."""
    weights = draw(SMALL, 1, 7, 7), draw(SMALL)
    operands = {
        'depthwise_conv': (draw(1, SMALL, 3, 2), *weights, 1),
        'dilated depthwise_conv': (draw(1, SMALL, 3, 2), *weights, 3),
        'norm_act': (draw(1, 3, 2, SMALL), draw(SMALL), draw(SMALL), 1e-6, True, draw(1, 3, 2, SMALL)),
        'mlp': (draw(1, 3, 2, SMALL), *draw_weights(SMALL)),
    }
    compare(triton, operator.split()[-1], operands[operator], 1e-4, create_graph=True)


def test_memory_layouts():
    """Inputs and gradients that are not contiguous, of the operators over channels-last features."""
    x, shortcut = draw(2, SMALL, 3, 5).permute(0, 2, 3, 1), draw(2, 3, 5, 2 * SMALL)[..., ::2]
    norm, weights = (draw(SMALL), draw(SMALL), 1e-6, True), draw_weights(SMALL)
    ours = triton.norm_mlp(x, *norm, shortcut, *weights, shortcut, None)
    torch.testing.assert_close(ours, reference.norm_mlp(x, *norm, shortcut, *weights, shortcut, None))
    x, (weight, bias) = (
        x.permute(0, 3, 1, 2)[..., ::2].requires_grad_(),
        (draw(SMALL, 1, 7, 7), norm[0]),
    )
    for dilation in (1, 3):
        grads = [
            torch.autograd.grad(module.depthwise_conv(x, weight, bias, dilation).sum(), x)[0]
            for module in (triton, reference)  # that of a sum is one number with strides of 0
        ]
        torch.testing.assert_close(*grads)


@pytest.mark.parametrize('low_precision', [False, True])
def test_layouts_of_weights(low_precision):
    """Slices with steps and expanded numbers; in low precision the MLP is one kernel."""
    spread = draw(5, 2 * SMALL)[:, ::2]
    bias1, gamma = draw(8 * SMALL)[::2], torch.full((1,), 0.5).expand(SMALL)
    weight1, _, weight2, *_ = draw_weights(SMALL)
    norm = spread[0], spread[1], 1e-6, True, None
    weights = weight1, bias1, weight2, spread[2], gamma
    x, factors = draw(2, 2, 2, SMALL), draw(4)[::2]
    for gradients in (False, True):
        for operator, operands in (
            ('norm_act', (x, *norm)),
            ('mlp', (x, *weights)),
            ('norm_mlp', (x, *norm, *weights, x, None if low_precision else factors)),
            ('depthwise_conv', (draw(1, SMALL, 2, 2), draw(SMALL, 1, 7, 7), spread[3], 3)),
        ):
            ours = [operands[0].clone().requires_grad_(gradients), *operands[1:]]
            exact = [each.double() if isinstance(each, torch.Tensor) else each for each in ours]
            exact[0] = exact[0].detach().requires_grad_(gradients)
            with torch.autocast('cpu', torch.bfloat16, enabled=low_precision):
                out = getattr(triton, operator)(*ours)
            expected = getattr(reference, operator)(*exact)
            tolerance = TOLERANCES[torch.bfloat16 if low_precision else torch.float32]
            assert (out - expected).norm() < tolerance * expected.norm()
            if gradients:
                (grad,) = torch.autograd.grad(out.float().sum(), ours[0])
                (their_grad,) = torch.autograd.grad(expected.sum(), exact[0])
                assert (grad - their_grad).norm() < tolerance * their_grad.norm()


@pytest.mark.parametrize('operator', ['depthwise_conv', 'dilated depthwise_conv', 'mlp', 'fused mlp'])
def test_flop(operator):
    """As many as plain torch has, forward and backward."""
    fused = operator == 'fused mlp'
    operands = {
        'depthwise_conv': (draw(1, SMALL, 3, 2), draw(SMALL, 1, 7, 7), draw(SMALL), 1),
        'dilated depthwise_conv': (draw(1, SMALL, 3, 2), draw(SMALL, 1, 7, 7), draw(SMALL), 3),
    }.get(operator, (draw(1, 3, 2, SMALL), *draw_weights(SMALL)))
    for each in operands[:-1]:
        each.requires_grad_(not fused)

    def count(module):
        def step():
            with torch.autocast('cpu', torch.bfloat16, enabled=fused):
                out = getattr(module, operator.split()[-1])(*operands)
            if not fused:
                out.sum().backward()

        return count_flops(step)

    assert count(triton) == count(reference) > 0


def test_strides_without_data():
    """Inductor relies on them: they are those of the results."""
    weights, rows = draw_weights(16), draw(2, 2, 3, 16)
    images = draw(2, 16, 2, 3)
    hidden = draw(12, 64)
    operators = torch.ops.mmcednet
    for operator, *operands in (
        (operators.depthwise_conv, images, draw(16, 1, 7, 7), draw(16), 3, False),
        (operators.depthwise_conv_weight_gradient, images, draw(2, 16, 2, 3), 7, 3),
        (operators.norm_act, rows, draw(16), draw(16), 1e-6, True, None, torch.float32),
        (operators.norm_act_backward, rows, draw(16), draw(16), draw(2, 2, 3, 16), 1e-6, True),
        (operators.mlp, rows, *weights, draw(2, 2, 3, 16), None, torch.float32, True),
        (operators.gelu_backward, hidden, draw(64), None, None, 1.0, draw(12, 64)),
    ):
        found = tree_leaves(operator(*operands))
        with FakeTensorMode() as mode:
            stated = tree_leaves(operator(*tree_map_only(torch.Tensor, mode.from_tensor, operands)))
        assert [x.stride() for x in found] == [x.stride() for x in stated], operator


@pytest.mark.parametrize('operator', ['depthwise_conv', 'norm_act', 'mlp', 'fused_mlp'])
def test_registrations(operator):
    """With torch: schema, shapes without data, and gradients under torch.compile's autograd."""
    norm, weights = (draw(16), draw(16), 1e-6), draw_weights(16)
    x = draw(1, 2, 3, 16).requires_grad_(operator != 'fused_mlp')
    operands = {
        'depthwise_conv': (draw(1, 16, 2, 3).requires_grad_(), draw(16, 1, 7, 7), draw(16), 3, False),
        'norm_act': (x, *norm, True, None, torch.float32),
        'mlp': (x, *weights, draw(1, 2, 3, 16), None, torch.float32, True),
        'fused_mlp': (x, *norm, True, False, None, *weights, None),
    }
    if operator == 'fused_mlp':
        operands[operator] = [
            each.half() if isinstance(each, torch.Tensor) else each for each in operands[operator]
        ]
    tests = ('test_schema', 'test_autograd_registration', 'test_faketensor')
    if operator != 'mlp':  # whose hidden activations have no gradient, which the check does not know
        tests = (*tests, 'test_aot_dispatch_dynamic')
    torch.library.opcheck(
        getattr(torch.ops.mmcednet, operator).default, operands[operator], test_utils=tests
    )
