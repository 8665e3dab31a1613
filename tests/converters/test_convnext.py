"""Selection from a ConvNeXt: all layouts of checkpoints, and what the selected blocks compute."""

import shlex

import pytest
import torch
from mmpretrain.models.backbones import ConvNeXt as MMPretrainConvNeXt
from torchvision.models.convnext import CNBlockConfig, convnext_tiny
from torchvision.models.convnext import ConvNeXt as TorchvisionConvNeXt

from mmcednet.converters.convnext import convert_convnext, is_convnext, refuse_convnext
from mmcednet.converters.convnext_selection import select_from_convnext
from mmcednet.models import CEDNet
from mmcednet.models.layers import LayerNorm2d

CHANNELS, DEPTHS = (8, 16, 24, 32), (1, 2, 3, 2)
ARCH = dict(channels=CHANNELS, blocks=(1, 1, 2, 1), num_stages=2)
ORIGINAL = {  # of mmpretrain's names, those that differ in the authors' code
    'depthwise_conv': 'dwconv',
    'pointwise_conv': 'pwconv',
    'norm3.': 'norm.',
}


@pytest.fixture(scope='module')
def source():
    """mmpretrain's ConvNeXt with random weights."""
    torch.manual_seed(0)
    model = MMPretrainConvNeXt(
        dict(channels=CHANNELS, depths=DEPTHS), out_indices=(0, 1, 2, 3), gap_before_final_norm=False
    )
    for param in model.parameters():
        torch.nn.init.normal_(param, std=0.3)
    model.train(False)
    return model


def drop_level_norms(weights):
    return {
        key: value for key, value in weights.items() if not key.startswith(('norm0', 'norm1', 'norm2'))
    }


def build_torchvision():
    widths = zip(CHANNELS, (*CHANNELS[1:], None), DEPTHS)
    return TorchvisionConvNeXt([CNBlockConfig(*width) for width in widths], num_classes=5)


def build_timm():
    convnext = pytest.importorskip('timm.models.convnext')
    return convnext.ConvNeXt(depths=DEPTHS, dims=CHANNELS, num_classes=5)


@pytest.mark.parametrize('build', [build_torchvision, build_timm])
def test_layouts_of_other_libraries(build, source):
    """The features are the same, computed by the library itself and by mmpretrain's ConvNeXt."""
    model = build().eval()
    for param in model.parameters():
        torch.nn.init.normal_(param, std=0.3)
    missing, unexpected = source.load_state_dict(convert_convnext(model.state_dict()), strict=False)
    assert not unexpected and all(key.startswith(('norm0', 'norm1', 'norm2')) for key in missing)
    images = torch.rand(1, 3, 64, 64)
    features = model.features(images) if build is build_torchvision else model.forward_features(images)
    norm = model.classifier[0] if build is build_torchvision else model.head.norm
    torch.testing.assert_close(source(images)[3], norm(features), rtol=1e-4, atol=1e-4)


def test_other_layouts_have_the_same_weights(source):
    """The original code's, mmpretrain's, with or without 'backbone.', and 1x1 convolutions."""
    weights = drop_level_norms(source.state_dict())
    original = {}
    for key, value in weights.items():
        for ours, theirs in ORIGINAL.items():
            key = key.replace(ours, theirs)
        original[key] = value
    detector = {f'backbone.{key}': value for key, value in weights.items()} | {'neck.x': torch.ones(1)}
    convolutions = {
        key: value[..., None, None] if 'pointwise' in key and value.ndim == 2 else value
        for key, value in weights.items()
    }
    classifier = original | {'head.weight': torch.ones(5, 32), 'head.bias': torch.ones(5)}
    for layout in (original, classifier, detector, convolutions):
        converted = convert_convnext(layout)
        assert converted.keys() == weights.keys()
        assert all(torch.equal(converted[key], weights[key]) for key in weights)


def test_other_networks_are_none(source):
    assert is_convnext(source.state_dict())
    network = CEDNet(arch=ARCH)
    assert not is_convnext(network.state_dict())
    with pytest.raises(ValueError, match='the weights are no ConvNeXt'):
        convert_convnext(network.state_dict())
    v2 = source.state_dict() | {'stages.0.0.grn.gamma': torch.ones(1)}
    with pytest.raises(ValueError, match=r'stages\.0\.0\.grn\.gamma is no weight .* such as V2'):
        convert_convnext(v2)


def load(network, source):
    selected = select_from_convnext(source.state_dict(), network)
    unexpected = network.load_state_dict(selected, strict=False).unexpected_keys
    assert not unexpected
    return selected


@pytest.mark.parametrize('layer_scale', [1e-6, 0])
def test_blocks_of_equal_width_compute_the_same(source, layer_scale):
    """Without layer scale in CEDNet, it is part of the weights."""
    network = CEDNet(arch=ARCH, long_range=False, layer_scale=layer_scale)
    load(network, source)
    first, second = (stage.encoder for stage in network.stages)
    blocks = [
        [*network.stem.blocks],
        [*first.level3, *second.level3],
        [*first.level4, *second.level4],
        [*first.level5, *second.level5],
    ]
    sources = [[0], [0, 1], [0, 0, 1, 2], [0, 1]]
    for stage, (group, indices) in enumerate(zip(blocks, sources, strict=True)):
        x = torch.rand(2, CHANNELS[stage], 9, 9)
        for block, index in zip(group, indices, strict=True):
            torch.testing.assert_close(block(x), source.stages[stage][index](x))


def test_downsampling_computes_the_same_but_for_the_scale(source):
    """Of features whose mean and variance over the channels are the same everywhere."""
    network = CEDNet(arch=ARCH)
    load(network, source)
    norm, conv = source.downsample_layers[2]
    x = LayerNorm2d(16)(torch.rand(1, 16, 6, 6)) + 5
    torch.testing.assert_close(
        network.stages[1].encoder.down4[0](x), conv(norm(x)), rtol=1e-4, atol=1e-4
    )


def test_channels_of_smaller_networks(source):
    """A tensor's channels are the same along a level, evenly spaced, and so are the hidden ones."""
    arch = dict(channels=(4, 6, 12, 16), blocks=(1, 1, 1, 1), num_stages=1)
    network = CEDNet(arch=arch, layer_scale=1.0)
    selected = load(network, source)
    stream = torch.tensor([0, 3, 6, 9, 12, 15])
    hidden = torch.linspace(0, 63, 24).round().long()
    block = source.stages[1][0]
    name = 'stages.0.encoder.level3.0'
    assert torch.equal(selected[f'{name}.dwconv.weight'], block.depthwise_conv.weight[stream])
    assert torch.equal(selected[f'{name}.mlp.gamma'], block.gamma[stream])
    expected = block.pointwise_conv1.weight[hidden][:, stream]
    assert torch.equal(selected[f'{name}.mlp.pwconv1.weight'], expected)
    expected = block.pointwise_conv2.weight[stream][:, hidden]
    assert torch.equal(selected[f'{name}.mlp.pwconv2.weight'], expected)
    long_range = {key for key in selected if key.startswith('stages.0.encoder.level5.0.')}
    names = ('dwconv1.', 'norm1.', 'mlp.pwconv1.', 'mlp.pwconv2.')
    ends = [name + end for name in names for end in ('weight', 'bias')] + ['mlp.gamma']
    assert long_range == {f'stages.0.encoder.level5.0.{end}' for end in ends}


def test_all_but_some_layers_have_a_source(source):
    without = ('stem.conv', 'stem.norm', 'downsample.1', 'down4.1', 'down5.1', 'dwconv2', 'norm2')
    for style in ('fpn', 'hourglass'):
        network = CEDNet(arch=ARCH, style=style)
        rest = network.state_dict().keys() - load(network, source).keys()
        decoders = tuple(f'decoder.{name}' for name in ('reduce5', 'reduce4', 'norm4', 'norm3'))
        assert all(any(part in key for part in (*without, *decoders)) for key in rest)


def test_networks_that_do_not_fit(source):
    wide = CEDNet(arch=dict(channels=(8, 16, 25, 32), blocks=(1, 1, 1, 1)))
    with pytest.raises(ValueError, match='CEDNet has 25 channels at stride 16, the ConvNeXt only 24'):
        select_from_convnext(source.state_dict(), wide)
    with pytest.raises(ValueError, match=r'no weights for .*ConvCEDBlock; the mixer must be dwconv'):
        select_from_convnext(source.state_dict(), CEDNet(arch=ARCH, mixer='conv'))
    weights = source.state_dict()
    del weights['stages.0.0.norm.bias']  # as with RMSNorm
    with pytest.raises(ValueError, match=r'a block of the ConvNeXt has no norm\.bias; such variants'):
        select_from_convnext(weights, CEDNet(arch=ARCH))


def test_most_of_a_tiny_cednet_has_a_source():
    """The share that docs/pretraining.md says, of shapes without memory."""
    with torch.device('meta'):
        network = CEDNet(arch='tiny')
        selected = select_from_convnext(convnext_tiny().state_dict(), network)
    total = sum(param.numel() for param in network.parameters())
    assert round(sum(value.numel() for value in selected.values()) / total, 2) == 0.97


def test_initial_weights_of_a_convnext_are_refused(source, tmp_path):
    file = tmp_path / 'my convnext.pth'
    torch.save(source.state_dict(), file)
    with pytest.raises(ValueError, match=r'convnext\.pth has weights of a ConvNeXt; ') as caught:
        refuse_convnext(str(file), '--arch tiny')
    _, _, command = str(caught.value).partition(' with: ')
    words = ['--teacher', str(file), '--images', 'FOLDER', '--arch', 'tiny', '-o', 'cednet.safetensors']
    assert shlex.split(command) == ['mmcednet', 'distill', *words]
    refuse_convnext('https://example.org/a.pth', '--arch tiny')
