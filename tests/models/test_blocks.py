"""Each block against its equation, and its gradients."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmcednet.models import apply_recompute, use_kernels
from mmcednet.models.blocks import MIXERS, CEDBlock, Design, LongRangeCEDBlock, set_drop_path

CHANNELS = {'dwconv': 4, 'conv': 4, 'window': 32, 'cross_window': 4}


def build_block(mixer: str, kind: str, index: int = 0) -> nn.Module:
    """A block in float64, with parameters large enough that all of them matter."""
    block = getattr(MIXERS[mixer], kind)(CHANNELS[mixer], 2, index, 0.5).double()
    for param in block.parameters():
        nn.init.normal_(param, std=0.3)
    return block


@pytest.mark.parametrize('kernels', [True, False])
@pytest.mark.parametrize('recompute', ['none', 'cheap'])
@pytest.mark.parametrize('index', [0, 1])
@pytest.mark.parametrize('kind', ['block', 'long_range_block'])
@pytest.mark.parametrize('mixer', MIXERS)
def test_gradients(mixer, kind, index, recompute, kernels):
    if mixer != 'window' and index:
        pytest.skip('only windows shift')
    block = build_block(mixer, kind, index)
    apply_recompute(block, recompute)
    use_kernels(block, kernels)
    x = torch.randn(2, CHANNELS[mixer], 8, 3, dtype=torch.float64, requires_grad=True)
    params = tuple(block.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: block(x), (x, *params), fast_mode=True)


@pytest.mark.parametrize('block', [CEDBlock, LongRangeCEDBlock])
def test_gradients_of_blocks(block):
    module = block(3, layer_scale=0.7).double()
    use_kernels(module)
    x = torch.randn(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, x)


def test_layer_scale_of_zero_leaves_gamma_out():
    assert CEDBlock(4, layer_scale=0).mlp.gamma is None
    x = torch.randn(1, 4, 8, 8)
    assert CEDBlock(4, layer_scale=0)(x).shape == x.shape


def batch_norm(x, norm):
    """BatchNorm in evaluation mode."""
    x = (x - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + 1e-5).sqrt()
    return x * norm.weight[:, None, None] + norm.bias[:, None, None]


@pytest.mark.parametrize('kind', ['block', 'long_range_block'])
def test_conv_block(kind):
    block = build_block('conv', kind).eval()
    for name, buffer in block.named_buffers():
        if 'running' in name:
            nn.init.uniform_(buffer, 0.5, 2)
    x = torch.randn(2, 4, 9, 11, dtype=torch.float64)
    y = F.relu(batch_norm(F.conv2d(x, block.conv1.weight, padding=1), block.norm1))
    if kind == 'long_range_block':
        y = y + x
        conv = block.dwconv
        dilated = F.conv2d(y, conv.weight, conv.bias, padding=9, dilation=3, groups=4)
        y = F.relu(batch_norm(dilated, block.dwconv_norm)) + y
    y = F.relu(batch_norm(F.conv2d(y, block.conv2.weight), block.norm2))
    expected = F.relu(x + batch_norm(F.conv2d(y, block.conv3.weight), block.norm3))
    torch.testing.assert_close(block(x), expected)
    convs = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    assert [conv.bias is not None for conv in convs] == [False] * 3 + [True] * (len(convs) - 3)


def layer_norm(x, norm):
    return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, 1e-6)


@pytest.mark.parametrize('kind', ['block', 'long_range_block'])
@pytest.mark.parametrize('mixer', ['window', 'cross_window'])
def test_attention_block(mixer, kind):
    block = build_block(mixer, kind)
    x = torch.randn(2, 9, 11, CHANNELS[mixer], dtype=torch.float64)  # channels last
    u = layer_norm(x, block.norm1)
    if (mixer, kind) == ('window', 'long_range_block'):
        u = F.gelu(layer_norm(block.mixer(u), block.mixer_norm)) + u
        conv, first = block.dwconv, u.permute(0, 3, 1, 2)
        dilated = F.conv2d(first, conv.weight, conv.bias, padding=9, dilation=3, groups=len(first[0]))
        u = F.gelu(layer_norm(dilated.permute(0, 2, 3, 1), block.dwconv_norm)) + u
    else:
        u = block.mixer(u)
    y = x + u
    one, two = block.mlp.pwconv1, block.mlp.pwconv2
    expected = y + F.linear(
        F.gelu(F.linear(layer_norm(y, block.norm2), one.weight, one.bias)), two.weight, two.bias
    )
    ours = block(x.permute(0, 3, 1, 2))
    torch.testing.assert_close(ours.permute(0, 2, 3, 1), expected)
    assert block.mlp.gamma is None


def test_cross_window_heads_and_stripes_depend_on_the_level():
    """Heads 2, 4, 8, 10; stripes 1, 2, 7, and the whole map in the long-range block."""
    for level, num_heads, stripe in ((2, 2, 1), (3, 4, 2), (4, 8, 7), (5, 10, 7)):
        mixer = MIXERS['cross_window'].block(80, level).mixer
        assert [branch.num_heads for branch in mixer.branches] == [num_heads // 2] * 2
        assert mixer.stripe == stripe
    mixer = MIXERS['cross_window'].long_range_block(80).mixer
    assert [branch.num_heads for branch in mixer.branches] == [10]
    assert mixer.stripe is None


def test_windows_shift_in_every_second_block_of_a_group():
    design = Design(MIXERS['window'], {3: 32}, long_range=True, layer_scale=0.0)
    for number in (3, 2):
        shifts = [block.mixer.shift for block in design.build_blocks(3, number)]
        assert shifts == [0, 3, 0][:number]


def test_stochastic_depth_increases_linearly():
    blocks = [MIXERS[mixer].block(CHANNELS[mixer]) for mixer in MIXERS]
    set_drop_path(blocks, 0.3, number=7)
    assert [block.drop_path.rate for block in blocks] == pytest.approx([0.0, 0.05, 0.1, 0.15])


CHANNELS_FLOAT32 = {'dwconv': 12, 'conv': 12, 'window': 64, 'cross_window': 16}


def run_backward(block: nn.Module, x: torch.Tensor, grad: torch.Tensor) -> dict[str, torch.Tensor]:
    """The output, the input's gradient and the parameters' gradients."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    out = block(x)
    out.backward(grad)
    grads = {name: param.grad for name, param in block.named_parameters()}
    return {'output': out.detach(), 'input': x.grad, **grads}


@pytest.mark.parametrize('grad_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('input_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('size', [(1, 1), (1, 2), (2, 2), (4, 4), (8, 9), (25, 40)])
@pytest.mark.parametrize('kind', ['block', 'long_range_block'])
@pytest.mark.parametrize('mixer', MIXERS)
def test_float32_equals_float64_in_both_memory_layouts(mixer, kind, size, input_format, grad_format):
    channels = CHANNELS_FLOAT32[mixer]
    block = getattr(MIXERS[mixer], kind)(channels, level=2, index=1, layer_scale=0.5)
    use_kernels(block)
    shape = (2, channels, *size)
    x = torch.randn(shape).to(memory_format=input_format)
    grad = torch.randn(shape).to(memory_format=grad_format)
    exact = run_backward(copy.deepcopy(block).double(), x.double(), grad.double())
    for name, ours in run_backward(block, x, grad).items():
        # A bias before BatchNorm has an exact gradient of zero, so it has no scale of its own.
        scale = max(exact[name].norm(), 0.1 * grad.norm())
        error = (ours - exact[name]).norm() / scale
        assert error < 1e-4, f'{name}: relative error {error:.1e}'
