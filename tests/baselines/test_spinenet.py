import math

import pytest
import torch
from torch import nn

from mmcednet.baselines import SpineNet
from mmcednet.baselines.spinenet import BLOCKS, STEM, Resample, ResidualBlock

SMALL = dict(width=1 / 16, out_channels=6)


def draw_norms(model):
    """Draw the weights of all norms: those of the last of each block are 0."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


@pytest.mark.parametrize('size', [(128, 256), (100, 150), (33, 65)])
def test_features_have_the_strides_8_to_128(size):
    outs = SpineNet(**SMALL)(torch.randn(2, 3, *size))
    expected = [tuple(math.ceil(side / 2**level) for side in size) for level in range(3, 8)]
    assert [tuple(out.shape) for out in outs] == [(2, 6, *size) for size in expected]


def test_every_parameter_has_a_gradient():
    model = draw_norms(SpineNet(repeats=2, **SMALL))
    sum(out.square().sum() for out in model(torch.randn(2, 3, 140, 130))).backward()
    assert all(param.grad is not None and param.grad.any() for param in model.parameters())


def test_every_block_is_used_and_takes_earlier_ones():
    specs = STEM + BLOCKS
    used = set()
    for index, spec in enumerate(BLOCKS, start=len(STEM)):
        assert max(spec.parents) < index
        used |= {*spec.parents, spec.added}
        if spec.added is not None:
            assert specs[spec.added][:2] == spec[:2]  # the same level and kind, hence the same shape
    assert {
        index for index, spec in enumerate(specs) if index not in used and not spec.is_output
    } == set()
    assert sorted(spec.level for spec in specs if spec.is_output) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ('settings', 'params'),
    # of the classifiers of the paper's Table 7 without the last layer: 1,000 x 257 parameters
    [(dict(), 22.1), (dict(repeats=2), 36.5), (dict(repeats=3, alpha=1.0), 60.5)],
)
def test_parameters(settings, params):
    with torch.device('meta'):
        model = SpineNet(**settings)
    found = sum(param.numel() for param in model.parameters()) / 1e6
    assert found + 0.257 == pytest.approx(params, abs=0.06)


def test_blocks_start_as_the_identity_of_positive_inputs():
    for bottleneck, channels in ((True, 8), (False, 2)):
        block = ResidualBlock(channels, 2, bottleneck)
        block.init_last_norm()
        x = torch.rand(1, channels, 5, 6)
        torch.testing.assert_close(block(x), x)


def test_a_block_is_its_convolutions_and_the_shortcut():
    block = draw_norms(ResidualBlock(3, 2, bottleneck=True)).double()
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    y = x
    for layer, padding in ((block.conv1, 0), (block.conv2, 1), (block.conv3, 0)):
        y = normalize(nn.functional.conv2d(y, layer.conv.weight, padding=padding), layer.norm)
        y = y.clamp(min=0) if layer is not block.conv3 else y
    shortcut = normalize(nn.functional.conv2d(x, block.shortcut.conv.weight), block.shortcut.norm)
    torch.testing.assert_close(block(x), (y + shortcut).clamp(min=0))


def normalize(x, norm):
    """BatchNorm in training, from its definition."""
    mean = x.mean((0, 2, 3), keepdim=True)
    var = (x - mean).square().mean((0, 2, 3), keepdim=True)
    scale, shift = (value.view(1, -1, 1, 1) for value in (norm.weight, norm.bias))
    return (x - mean) / (var + 1e-3).sqrt() * scale + shift


def make_passing(resample):
    """Make the convolutions of a resampling of one channel pass values on, positive ones unchanged."""
    for layer in (resample.squeeze, resample.downsample, resample.expand):
        if layer is not None:
            nn.init.zeros_(layer.conv.weight)
            kernel = layer.conv.weight[0, 0]
            kernel.data[kernel.shape[0] // 2, kernel.shape[1] // 2] = 1
            layer.norm = nn.Identity()
    return resample


def test_upsampling_takes_the_nearest_pixel():
    resample = make_passing(Resample(1, 1, 1, halvings=-2))
    x = torch.rand(1, 1, 2, 3)
    out = resample(x, (8, 12))
    assert out.shape == (1, 1, 8, 12)
    for row in range(8):
        for column in range(12):
            assert out[0, 0, row, column] == x[0, 0, row // 4, column // 4]


@pytest.mark.parametrize(('halvings', 'size'), [(1, (5, 6)), (2, (3, 3)), (3, (2, 2))])
def test_downsampling_strides_then_pools(halvings, size):
    resample = make_passing(Resample(1, 1, 1, halvings))
    x = torch.rand(1, 1, 9, 12)
    out = resample(x, size)
    strided = x[0, 0, ::2, ::2]
    factor = 2 ** (halvings - 1)
    radius = {1: 0, 2: 1, 4: 2}[factor]
    assert out.shape == (1, 1, *size)
    for row in range(size[0]):
        for column in range(size[1]):
            top, left = (max(0, place * factor - radius) for place in (row, column))
            bottom, right = (place * factor + radius + 1 for place in (row, column))
            assert out[0, 0, row, column] == strided[top:bottom, left:right].max()


@pytest.mark.parametrize('output_act', [True, False])
def test_outputs_end_in_relu(output_act):
    outs = SpineNet(**SMALL, output_act=output_act)(torch.randn(2, 3, 256, 256))
    assert all(bool((out < 0).any()) != output_act for out in outs)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(repeats=0), 'repeats 0 and out_channels 6 must be positive integers'),
        (dict(out_channels=2.5), 'repeats 1 and out_channels 2.5 must be positive integers'),
        (dict(width=0.01), 'width 0.01 and alpha 0.5 leave no channels'),
        (dict(width=-1.0, alpha=-1.0), 'width -1.0 and alpha -1.0 leave no channels'),
        (dict(alpha=-1.0), 'width 0.0625 and alpha -1.0 leave no channels'),
    ],
)
def test_wrong_settings_are_reported(change, message):
    with pytest.raises(ValueError, match=message):
        SpineNet(**SMALL | change)


def test_weights_of_a_detector_load(tmp_path):
    source = draw_norms(SpineNet(**SMALL))
    path = tmp_path / 'detector.pth'
    weights = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict=weights | {'bbox_head.bias': torch.zeros(1)}), path)
    model = SpineNet(**SMALL, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    assert all(
        torch.equal(value, source.state_dict()[key]) for key, value in model.state_dict().items()
    )
