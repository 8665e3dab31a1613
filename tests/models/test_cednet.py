"""The backbone: shapes, options, and an independent implementation of the published network."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.nn import functional as F

from mmcednet.models import CEDNet
from mmcednet.models.blocks import AttentionCEDBlock, CEDBlock, ConvCEDBlock

SIZES = [(32, 32), (33, 47), (96, 128), (101, 75)]


def count_parameters_m(model: nn.Module) -> float:
    return sum(param.numel() for param in model.parameters()) / 1e6


# Parameters (M) of RetinaNet's head: 4 + 4 convolutions of 256 channels, 9 anchors. With those of the
# backbone they are RetinaNet's, which paper/tables.py has in EXPECTED_COST.
HEAD = (8 * (256 * 256 * 9 + 256) + 256 * 9 * 9 * 80 + 9 * 80 + 256 * 9 * 9 * 4 + 9 * 4) / 1e6


@pytest.mark.parametrize(
    ('arch', 'final_decoder', 'long_range', 'retinanet'),
    [
        ('tiny', True, True, 38.88),
        ('tiny', False, True, 38.64),
        ('tiny', True, False, 38.72),
        ('tiny', False, False, 38.48),
        ('small', True, True, 61.23),
        ('small', False, True, 60.98),
        (dict(channels=(96, 192, 352, 512), blocks=(3, 3, 6, 3), num_stages=2), True, True, 37.64),
        (dict(channels=(96, 192, 352, 512), blocks=(3, (5, 10, 5), (1, 2, 1))), True, True, 37.64),
        (dict(channels=(96, 192, 384, 768), blocks=(3, 6, 9, 3)), True, True, 37.24),
        (dict(channels=(96, 192, 384, 768), blocks=(3, 6, 9, 3)), False, True, 36.87),
        (dict(channels=(96, 192, 352, 512), blocks=(3, 1, 4, 1), num_stages=4), True, True, 39.26),
        ('r50_t', True, True, 39.52),
        ('r50_t', False, True, 39.38),
        ('swin_t', True, True, 37.30),
        ('swin_t', False, True, 37.14),
        ('cswin_t', True, True, 33.68),
        ('cswin_t', False, True, 33.57),
    ],
)
def test_parameters_are_those_of_the_paper(arch, final_decoder, long_range, retinanet):
    with torch.device('meta'):
        model = CEDNet(arch, final_decoder=final_decoder, long_range=long_range, pyramid=dict())
    assert count_parameters_m(model) + HEAD == pytest.approx(retinanet, abs=0.006)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('levels', [(3, 4, 5, 6, 7), (3, 4, 5, 6), (2, 3, 4, 5, 6), (3, 4, 5)])
@pytest.mark.parametrize('final_decoder', [True, False])
def test_pyramid_shapes_and_gradients(small, size, levels, final_decoder):
    model = CEDNet(small, final_decoder=final_decoder, pyramid=dict(levels=levels, channels=12))
    outs = model(torch.randn(2, 3, *size))
    assert model.out_channels == (12,) * len(levels)
    assert model.out_strides == tuple(2**level for level in levels)
    height, width = size
    height, width = (height + 3) // 4, (width + 3) // 4  # two convolutions with padding round up
    expected = {2: (height, width)}
    for level in (3, 4, 5):  # 2x2 convolutions round down
        height, width = height // 2, width // 2
        expected[level] = (height, width)
    for level in (6, 7):  # 3x3 with padding round up
        height, width = (height + 1) // 2, (width + 1) // 2
        expected[level] = (height, width)
    assert [out.shape for out in outs] == [(2, 12, *expected[level]) for level in levels]
    sum(out.square().mean() for out in outs).backward()
    without = [name for name, param in model.named_parameters() if param.grad is None]
    assert not without


@pytest.mark.parametrize(
    ('style', 'channels'), [('unet', (96, 192, 352, 512)), ('hourglass', (96, 160, 320, 512))]
)
def test_other_styles_have_the_same_parameters(style, channels):
    with torch.device('meta'):
        arch = dict(channels=channels, blocks=(3, 2, 4, 2), num_stages=3)
        model = CEDNet(arch, style=style, pyramid=dict())
    assert count_parameters_m(model) + HEAD == pytest.approx(38.88, abs=0.006)


def test_presets_have_their_mixer(small):
    blocks = {
        'tiny': CEDBlock,
        'r50_t': ConvCEDBlock,
        'swin_t': AttentionCEDBlock,
        'cswin_t': AttentionCEDBlock,
    }
    with torch.device('meta'):
        for arch, block in blocks.items():
            assert isinstance(CEDNet(arch).stem.blocks[0], block)
        assert isinstance(CEDNet('r50_t', mixer='dwconv').stem.blocks[0], CEDBlock)
        assert isinstance(CEDNet(small).stem.blocks[0], CEDBlock)


def test_raw_levels_and_auxiliary_stages(small):
    small['num_stages'] = 3
    model = CEDNet(small, aux_stages=True)
    outs = model(torch.randn(1, 3, 64, 96))
    assert [tuple(out.shape[1:]) for out in outs] == [
        (8, 16, 24),
        (16, 8, 12),
        (24, 4, 6),
        (32, 2, 3),
        (16, 8, 12),
        (16, 8, 12),
    ]
    assert model.out_channels == (8, 16, 24, 32, 16, 16)
    assert model.out_strides == (4, 8, 16, 32, 8, 8)


def test_auxiliary_level_of_a_classifier(small):
    model = CEDNet(small, out_levels=(5,), aux_stages=True, aux_level=5, final_decoder=False)
    assert [tuple(out.shape[1:]) for out in model(torch.randn(1, 3, 64, 96))] == [(32, 2, 3)] * 2
    assert model.out_channels == (32, 32)
    assert model.out_strides == (32, 32)


def test_auxiliary_features_are_the_earlier_stages_latest_first(small):
    small['num_stages'] = 3
    model = CEDNet(small, aux_stages=True, out_levels=(3,)).eval()
    seen = []
    for stage in model.stages:
        stage.register_forward_hook(lambda module, args, out: seen.append(out[3]))
    last, second, first = model(torch.randn(1, 3, 64, 64))
    assert all(torch.equal(x, y) for x, y in zip((first, second, last), seen))


def layer_norm(x, norm):
    mean = x.mean(1, keepdim=True)
    var = ((x - mean) ** 2).mean(1, keepdim=True)
    x = (x - mean) / (var + 1e-6).sqrt()
    return x * norm.weight[:, None, None] + norm.bias[:, None, None]


def mlp_1x1(x, mlp):
    """The MLP as two 1x1 convolutions."""
    x = F.gelu(F.conv2d(x, mlp.pwconv1.weight[..., None, None], mlp.pwconv1.bias))
    return mlp.gamma[:, None, None] * F.conv2d(x, mlp.pwconv2.weight[..., None, None], mlp.pwconv2.bias)


def test_forward_equals_the_equations():
    """Against an independent implementation of stem, stage, blocks and pyramid."""
    arch = dict(channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), num_stages=1)
    model = CEDNet(arch, layer_scale=0.5, pyramid=dict(levels=(2, 3, 4, 5, 6), channels=5))
    model = model.double().eval()
    for param in model.parameters():
        nn.init.normal_(param, std=0.3)

    def ced(x, block):
        conv = block.dwconv
        x_ = F.conv2d(x, conv.weight, conv.bias, padding=3, groups=x.shape[1])
        return x + mlp_1x1(layer_norm(x_, block.norm), block.mlp)

    def long_range_ced(x, block):
        one, two = block.dwconv1, block.dwconv2
        y = F.conv2d(x, one.weight, one.bias, padding=3, groups=x.shape[1])
        y = F.gelu(layer_norm(y, block.norm1)) + x
        z = F.conv2d(y, two.weight, two.bias, padding=9, dilation=3, groups=x.shape[1])
        z = F.gelu(layer_norm(z, block.norm2)) + y
        return x + mlp_1x1(z, block.mlp)

    def conv(x, layer, stride=1, padding=0):
        return F.conv2d(x, layer.weight, layer.bias, stride, padding)

    def up(x, target):
        return F.interpolate(x, target.shape[-2:], mode='bilinear', align_corners=False)

    images = torch.randn(2, 3, 70, 90, dtype=torch.float64)
    stem, (stage,) = model.stem, model.stages
    x = F.gelu(layer_norm(conv(images, stem.conv1, 2, 1), stem.norm1))
    x = F.gelu(layer_norm(conv(x, stem.conv2, 2, 1), stem.norm2))
    c2 = ced(x, stem.blocks[0])
    x = layer_norm(conv(c2, stem.downsample[0], 2), stem.downsample[1])
    encoder, decoder = stage.encoder, stage.decoder
    e3 = ced(x, encoder.level3[0])
    e4 = ced(layer_norm(conv(e3, encoder.down4[0], 2), encoder.down4[1]), encoder.level4[0])
    e5 = long_range_ced(layer_norm(conv(e4, encoder.down5[0], 2), encoder.down5[1]), encoder.level5[0])
    d4 = layer_norm(e4 + up(conv(e5, decoder.reduce5), e4), decoder.norm4)
    d3 = layer_norm(e3 + up(conv(d4, decoder.reduce4), e3), decoder.norm3)
    pyramid = model.pyramid
    p3, p4, p5 = (layer_norm(conv(f, p[0]), p[1]) for f, p in zip((d3, d4, e5), pyramid.laterals))
    p6 = layer_norm(conv(p5, pyramid.extras[0][0], 2, 1), pyramid.extras[0][1])
    lateral2 = layer_norm(conv(c2, pyramid.lateral2[0]), pyramid.lateral2[1])
    p2 = conv(layer_norm(up(p3, c2) + lateral2, pyramid.merge2[0]), pyramid.merge2[1], 1, 1)
    with torch.no_grad():
        outs = model(images)
    for ours, expected in zip(outs, (p2, p3, p4, p5, p6), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-11)


def test_without_final_decoder_the_last_encoder_is_returned(small):
    model = CEDNet(small, final_decoder=False, out_levels=(3, 4, 5)).eval()
    seen = []
    for stage in model.stages:
        stage.encoder.register_forward_hook(lambda module, args, out: seen.append((args[0], out)))
    outs = model(torch.randn(1, 3, 64, 64))
    encoded = seen[1][1]
    assert all(torch.equal(ours, encoded[level]) for level, ours in zip((3, 4, 5), outs, strict=True))
    assert seen[1][0] is not seen[0][1][3]  # the first stage was decoded


@pytest.mark.parametrize('style', ['unet', 'hourglass'])
def test_decoder_equals_the_equations(style):
    """Blocks on the lateral connections (hourglass) before the sums, blocks after them."""
    arch = dict(channels=(32, 32, 64, 96), blocks=(1, 3, 3, 1))
    model = CEDNet(arch, style, 'window', out_levels=(3, 4, 5)).double().eval()
    for param in model.parameters():
        nn.init.normal_(param, std=0.3)
    (stage,) = model.stages
    decoder = stage.decoder
    e3, e4, e5 = (
        torch.randn(1, width, *size, dtype=torch.float64)
        for width, size in ((32, (13, 10)), (64, (6, 5)), (96, (3, 2)))
    )

    def up(x, conv, target):
        x = F.conv2d(x, conv.weight, conv.bias)
        return F.interpolate(x, target.shape[-2:], mode='bilinear', align_corners=False)

    def blocks(x, group):
        for block in group:
            x = block(x)
        return x

    with torch.no_grad():
        side4, side3 = e4, e3
        if style == 'hourglass':
            (block4,), (block3,) = decoder.lateral4, decoder.lateral3
            side4, side3 = block4(e4), block3(e3)
            assert block4.mixer.shift == block3.mixer.shift == 0
        d4 = blocks(layer_norm(side4 + up(e5, decoder.reduce5, e4), decoder.norm4), decoder.level4)
        d3 = blocks(layer_norm(side3 + up(d4, decoder.reduce4, e3), decoder.norm3), decoder.level3)
        for ours, expected in zip(decoder({3: e3, 4: e4, 5: e5}).values(), (d3, d4, e5), strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
    assert [len(group) for group in (decoder.level4, decoder.level3)] == [2, 2]


def test_images_of_other_channels_and_lists_from_configs():
    arch = dict(channels=[8, 8, 8, 8], blocks=[1, [1, 1, 1], [0, 1, 2]])
    model = CEDNet(arch, in_channels=4, out_levels=[3, 5])
    assert [out.shape[2] for out in model(torch.randn(1, 4, 64, 64))] == [8, 2]


@pytest.mark.parametrize('style', ['fpn', 'unet', 'hourglass'])
def test_stochastic_depth_increases_linearly_over_all_blocks(small, style):
    small['blocks'] = (1, 3, 5, 2)
    model = CEDNet(small, style=style, drop_path_rate=0.4)
    blocks = list(model.stem.blocks)
    for stage in model.stages:
        encoder, decoder = stage.encoder, stage.decoder
        blocks += [*encoder.level3, *encoder.level4, *encoder.level5]
        blocks += [*decoder.level4, *decoder.level3]
        depths = [len(part) for part in (encoder.level3, encoder.level4, encoder.level5)]
        assert depths == ([3, 5, 2] if style == 'fpn' else [1, 2, 2])
        if style == 'hourglass':
            assert all(
                lateral[0].drop_path.rate == 0 for lateral in (decoder.lateral3, decoder.lateral4)
            )
    rates = [block.drop_path.rate for block in blocks]
    assert rates == pytest.approx([0.4 * i / 20 for i in range(21)])


def test_final_decoder_does_not_change_the_other_drop_path_rates(small):
    model = CEDNet(small, style='unet', final_decoder=False, drop_path_rate=0.4)
    # 9 blocks; the last stage's decoder would have had the last two, one at level 4, one at level 3
    assert model.stages[-1].encoder.level5[0].drop_path.rate == pytest.approx(0.4 * 6 / 8)


def test_initial_weights_follow_the_fan_out():
    model = CEDNet('tiny', pyramid=dict())
    for layer in (model.stem.downsample[0], model.stages[0].encoder.level4[0].mlp.pwconv1):
        fan_out = layer.weight.shape[0] * layer.weight[0, 0].numel()
        assert layer.weight.std().item() == pytest.approx(fan_out**-0.5, rel=0.05)
        assert not layer.bias.any()
    assert (model.stages[0].encoder.level4[0].mlp.gamma == 1e-6).all()
    first = model.stem.conv1
    assert first.bias.abs().max() < 27**-0.5
    assert first.bias.std().item() == pytest.approx(27**-0.5 / 3**0.5, rel=0.3)
    before = first.bias.clone()
    model.init_weights()  # leaves them alone
    assert torch.equal(first.bias, before)


@pytest.mark.parametrize('frozen', [-1, 0, 1, 2])
def test_frozen_stages(small, frozen):
    model = CEDNet(small, frozen_stages=frozen, drop_path_rate=0.2, pyramid=dict(channels=8)).train()
    parts = [model.stem, *model.stages]
    for i, part in enumerate(parts):
        assert part.training == (i > frozen)
        assert all(param.requires_grad == (i > frozen) for param in part.parameters())
    assert model.pyramid.training
    sum(out.sum() for out in model(torch.randn(1, 3, 64, 64))).backward()


def list_batch_norms(model):
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize('norm_eval', [False, True])
def test_batch_norm_follows_norm_eval_and_frozen_stages(small, norm_eval):
    model = CEDNet(small, mixer='conv', frozen_stages=0, norm_eval=norm_eval, pyramid=dict(channels=8))
    model.train()
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(2, 3, 64, 64))
    moved = {
        key.rpartition('.')[0]
        for key, value in model.state_dict().items()
        if (value != before[key]).any()
    }
    names = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert moved == (set() if norm_eval else {name for name in names if not name.startswith('stem')})
    assert all(module.weight.requires_grad for name, module in model.named_modules() if name in moved)


def test_batch_norm_becomes_synchronised(small):
    model = CEDNet(small, mixer='conv', norm_eval=True, frozen_stages=0, pyramid=dict(channels=8))
    number = len(list_batch_norms(model))
    images = torch.randn(1, 3, 64, 64)
    model.eval()
    expected = model(images)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model).eval()  # torch 2.1 resets the mode
    norms = list_batch_norms(model)
    assert len(norms) == number
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    for ours, theirs in zip(model(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not any(norm.training for norm in list_batch_norms(model.train()))
    assert not any(param.requires_grad for param in model.stem.parameters())


@pytest.mark.skipif(not hasattr(torch, 'get_autocast_dtype'), reason='torch is older than 2.4')
@pytest.mark.parametrize('outputs', [dict(pyramid=dict(levels=(2, 3, 4, 5, 6))), dict(aux_stages=True)])
def test_levels_have_one_type_in_mixed_precision_on_a_gpu(outputs):
    """Autocast leaves norms in float32 there, and not convolutions; no memory of a GPU is used."""
    arch = dict(channels=(32, 32, 64, 64), blocks=(1, 1, 1, 1), num_stages=2)
    model = CEDNet(arch, kernels=False, **outputs)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device='cuda')
        images = torch.empty(1, 3, 256, 256, device='cuda')
        # torch.autocast itself asks for a GPU
        torch.set_autocast_enabled('cuda', True)
        try:
            features = model(images)
        finally:
            torch.set_autocast_enabled('cuda', False)
    assert {(out.dtype, out.device.type) for out in features} == {(torch.float32, 'cuda')}


@pytest.mark.parametrize('mixer', ['dwconv', 'window'])
@pytest.mark.parametrize('assign', [False, True])
def test_weights_of_a_network_without_memory(mixer, assign):
    """What no checkpoint has is there, too: drop rates, and indices of windows."""
    arch = dict(channels=(32, 32, 32, 32), blocks=(1, 1, 1, 1), num_stages=1)
    settings = dict(mixer=mixer, drop_path_rate=0.5)
    expected = CEDNet(arch, **settings)
    with torch.device('meta'):
        model = CEDNet(arch, **settings)
    if not assign:
        model.to_empty(device='cpu')
    model.load_state_dict(expected.state_dict(), assign=assign)
    for name, buffer in expected.named_buffers():
        assert torch.equal(model.get_buffer(name), buffer), name
    images = torch.randn(2, 3, 64, 64)
    for ours, theirs in zip(model.eval()(images), expected.eval()(images)):
        torch.testing.assert_close(ours, theirs)
    assert all(out.isfinite().all() for out in model.train()(images))


def test_forward_mode_derivatives(small):
    """Those of torch alone, as the operators for a CPU have none; against differences in float64."""
    model = CEDNet(small, layer_scale=1.0).double().eval()
    images, direction = torch.randn(2, 1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad(), forward_ad.dual_level():
        found = forward_ad.unpack_dual(model(forward_ad.make_dual(images, direction))[-1]).tangent
    with torch.no_grad():
        after, before = (model(images + sign * 1e-5 * direction)[-1] for sign in (1, -1))
    torch.testing.assert_close(found, (after - before) / 2e-5, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_models_need_torch_and_mmengine_only():
    code = 'import mmcednet.models, sys; print([m for m in sys.modules if m in %r])' % [
        'mmcv',
        'mmdet',
        'mmseg',
        'mmpretrain',
    ]
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == '[]'
