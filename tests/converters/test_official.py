"""The authors' models: same outputs, and sentences for what has no place."""

import subprocess
import sys

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.registry import MODELS as mmpretrain_models

from mmcednet.converters.official import backbone_config, classifier_config, convert_state_dict

FILES = [
    'det_onestage_fpn',
    'det_onestage_resnet',
    'det_onestage_swin',
    'det_onestage_unet',
    'det_twostage_fpn',
    'seg_fpn',
]


def load(root, name):
    return torch.load(root / 'tests' / 'assets' / 'parity' / f'{name}.pth', weights_only=True)


def assert_equal_to_scale(ours, theirs):
    """Within 5e-6 of the largest value: float32 rounding adds up over the layers."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-6 * theirs.abs().max().item())


@pytest.mark.parametrize('name', FILES)
def test_outputs_equal_the_released_code(root, name):
    data = load(root, name)
    config = backbone_config(data['module'], data['cls'], data['kwargs'])
    model = MODELS.build(config).eval()
    model.load_state_dict(convert_state_dict(data['state_dict']))
    with torch.no_grad():
        outs = model(data['input'])
    for ours, theirs in zip(outs, data['outputs']['features'], strict=True):
        assert_equal_to_scale(ours, theirs)
    assert model.out_channels == tuple(out.shape[1] for out in outs)


def test_classifier_equals_the_released_code(root):
    data = load(root, 'cls_fpn')
    model = mmpretrain_models.build(classifier_config(data['kwargs'])).eval()
    model.load_state_dict(convert_state_dict(data['state_dict']))
    with torch.no_grad():
        logits = model(data['input'], mode='tensor')
        stages = model.head.stage_logits(model.extract_feat(data['input']))
    assert_equal_to_scale(logits, data['outputs']['logits'])
    for ours, theirs in zip(stages, data['outputs']['stage_logits'], strict=True):
        assert_equal_to_scale(ours, theirs)


def released_names(ours, mixer):
    """Names of the released code for all weights of one of our models, written out block by block."""
    blocks = {
        'window': {
            'mixer.relative_position_bias_table': 'attn.relative_position_bias_table',
            'mixer.': 'attn.',
        },
        'cross_window': {'mixer.branches.': 'attns.', '.lepe.': '.get_v.', 'mixer.': ''},
    }[mixer]
    if mixer == 'window':
        blocks |= {'mixer_norm.': 'norm_act1.0.', 'dwconv_norm.': 'norm_act2.0.', 'dwconv.': 'dwconv2.'}
    parts = {
        'stem.conv1': 'stem.0',
        'stem.norm1': 'stem.1',
        'stem.conv2': 'stem.3',
        'stem.norm2': 'stem.4',
        'stem.downsample': 'stages.0.1',
        'stem.blocks': 'stages.0',
        'stages.1': 'stages.2',
        'stages.0.encoder': 'stages.1.encoder',
        'stages.0.decoder': 'stages.1.decoder',
        '.encoder.level3': '.0.encoder.0',
        '.encoder.level4': '.0.encoder.1',
        '.encoder.level5': '.0.encoder.2',
        '.encoder.down4': '.0.encoder_downsample.0',
        '.encoder.down5': '.0.encoder_downsample.1',
        '.decoder.reduce5': '.1.decoder_upsample.0.0',
        '.decoder.reduce4': '.1.decoder_upsample.1.0',
        '.decoder.norm4': '.1.decoder_norm.0',
        '.decoder.norm3': '.1.decoder_norm.1',
        '.decoder.level4': '.1.decoder.0',
        '.decoder.level3': '.1.decoder.1',
        '.decoder.lateral4.0': '.1.lateral.0',
        '.decoder.lateral3.0': '.1.lateral.1',
        '.mlp.': '.',
    }
    names = {}
    for key in ours:
        name = key
        for old, new in (parts | blocks).items():
            name = name.replace(old, new)
        names[key] = name
    return names


@pytest.mark.parametrize('mixer', ['window', 'cross_window'])
def test_weights_of_attention_mixers_and_laterals_find_their_place(mixer):
    arch = dict(channels=(32, 32, 64, 320), blocks=(1, 2, 2, 1), num_stages=2)
    model = MODELS.build(dict(type='CEDNet', arch=arch, style='hourglass', mixer=mixer))
    ours = model.state_dict()
    released = {name: ours[key] for key, name in released_names(ours, mixer).items()}
    converted = convert_state_dict(released)
    assert set(converted) == set(ours)
    assert all(converted[key] is value for key, value in ours.items())


def test_prefix_is_kept_and_heads_stay(root):
    weights = load(root, 'det_onestage_fpn')['state_dict']
    plain = convert_state_dict(weights)
    parallel = convert_state_dict({f'module.{key}': value for key, value in weights.items()})
    assert set(parallel) == set(plain)
    detector = {f'backbone.{key}': value for key, value in weights.items()}
    detector['bbox_head.retina_cls.weight'] = torch.zeros(1)
    converted = convert_state_dict(detector)
    assert set(converted) == {f'backbone.{key}' for key in plain} | {'bbox_head.retina_cls.weight'}
    assert all(torch.equal(converted[f'backbone.{key}'], value) for key, value in plain.items())


@pytest.mark.parametrize(
    'key',
    [
        'stem.2.weight',
        'stem.0.running_mean',
        'stages.0.0.conv1.0.running_mean',
        'stages.1.1.lateral.2.norm.weight',
        'stages.1.1.decoder.2.0.norm.weight',
        'stages.0.0.mystery.weight',
        'stages.1.0.encoder.3.0.gamma',
        'stages.1.2.decoder_norm.0.weight',
        'neck.weight',
    ],
)
def test_a_key_without_a_place_is_named(key):
    with pytest.raises(ValueError, match=key.replace('.', r'\.')):
        convert_state_dict({key: torch.zeros(1)})


@pytest.mark.parametrize(
    ('module', 'cls', 'kwargs', 'message'),
    [
        ('pose', 'CEDNet', {}, r'pose\.CEDNet is unknown'),
        ('det', 'CEDNetWrapper', dict(depth=3), "'depth' of det.CEDNetWrapper"),
        ('seg', 'CEDNet', dict(out_chans=3), "'out_chans' of seg.CEDNet"),
        ('det', 'CEDNetWrapper', dict(decoder_type='DecoderPAN'), "decoder_type='DecoderPAN'"),
        ('det', 'CEDNetWrapper', dict(encoder_type='EncoderFPN'), "encoder_type='EncoderFPN'"),
        ('det', 'CEDNetWrapper', dict(base_block='Mystery'), "base_block='Mystery'"),
        ('det', 'CEDNetWrapper', dict(focal_block='Mystery'), "focal_block='Mystery'"),
        ('det', 'CEDNetWrapper', dict(act_type='relu'), "act_type='relu'"),
        ('det', 'CEDNetWrapper', dict(norm_cfg=dict(type='BN')), 'norm_cfg'),
        ('det', 'CEDNetWrapper', dict(base_block='Bottleneck'), "act_type='gelu'"),
        ('det', 'CEDNetWrapper', dict(base_block='Bottleneck', act_type='relu'), 'norm_cfg .*LN'),
        ('det', 'CEDNetWrapper', dict(base_block='CSwinBlock'), "encoder_type='Encoder'"),
        ('det', 'CEDNetWrapper', dict(base_block='SwinBlock'), "focal_block='DNeXtBlock'"),
        ('cls', 'CEDNet', dict(out_chans=3), "'out_chans' of cls.CEDNet"),
        ('det', 'CEDNetWrapper', dict(norm_cfg=dict(type='LN', affine=False)), 'norm_cfg .*affine'),
        ('det', 'CEDNetWrapper', dict(norm_cfg=dict(type='LN', eps=1e-6)), 'needs .*channels_first'),
        (
            'det',
            'CEDNetWrapper',
            dict(norm_cfg=dict(type='LN', data_format='channels_first')),  # has eps 1e-5
            'needs .*1e-06',
        ),
        ('det', 'CEDNetWrapper', dict(base_block=['NeXtBlock']), 'base_block'),
    ],
)
def test_what_is_not_understood_is_named(module, cls, kwargs, message):
    with pytest.raises(ValueError, match=message):
        backbone_config(module, cls, kwargs)


def test_released_defaults_are_tiny_without_final_decoder():
    config = backbone_config('det', 'CEDNetWrapper', dict(blocks=[[2, 4, 2]] * 3))
    ours, tiny = (
        MODELS.build(c)
        for c in (config, dict(type='CEDNet', arch='tiny', final_decoder=False, pyramid=dict()))
    )
    shapes = {key: value.shape for key, value in ours.state_dict().items()}
    assert shapes == {key: value.shape for key, value in tiny.state_dict().items()}
    plain = backbone_config('det', 'CEDNetWrapperMask2Former', dict(focal_block='NeXtBlock'))
    assert not plain['long_range']
    assert plain['out_levels'] == (2, 3, 4, 5)


def test_what_a_released_config_may_also_say():
    config = backbone_config('det', 'CEDNetWrapper', dict(pretrained='a.pth'))
    assert config['init_cfg'] == dict(type='Pretrained', checkpoint='a.pth')
    assert backbone_config('det', 'CEDNetWrapper', {})['init_cfg'] is None
    assert classifier_config(dict(pretrained=False))['backbone']['init_cfg'] is None
    norm = dict(type='LN', eps=1e-6, data_format='channels_first_v2', requires_grad=True)
    assert backbone_config('det', 'CEDNetWrapper', dict(norm_cfg=norm))['mixer'] == 'dwconv'
    resnet = dict(base_block='Bottleneck', focal_block='DBottleneck', act_type='relu')
    norm = dict(type='BN', eps=1e-5, momentum=0.1)
    assert backbone_config('det', 'CEDNetWrapper', dict(resnet, norm_cfg=norm))['mixer'] == 'conv'
    assert backbone_config('det', 'CEDNet', {})['out_levels'] == (3, 4, 5)


def test_classifiers_never_have_a_final_decoder():
    config = classifier_config(dict(num_classes=7, last_decoder=True, decoder_type='DecoderUNet'))
    assert not config['backbone']['final_decoder']
    assert config['backbone']['style'] == 'unet'
    assert config['head']['num_classes'] == 7
    config = classifier_config(
        dict(
            base_block='Bottleneck',
            focal_block='Bottleneck',
            norm_cfg=dict(type='SyncBN', requires_grad=True),
            act_type='relu',
            head_init_scale=0.1,
        )
    )
    assert config['backbone']['mixer'] == config['head']['mixer'] == 'conv'
    assert not config['backbone']['long_range']
    assert config['head']['init_scale'] == 0.1


@pytest.mark.slow
def test_converter_command(root, tmp_path):
    tool = root / 'tools' / 'model_converters' / 'official_cednet.py'
    source, target = tmp_path / 'in.pth', tmp_path / 'new' / 'out.pth'

    def convert(weights):
        torch.save(dict(model=weights), source)
        command = [sys.executable, tool, source, target]
        return subprocess.run(command, capture_output=True, text=True)

    weights = load(root, 'det_onestage_fpn')['state_dict']
    assert convert(weights).returncode == 0
    written = torch.load(target, weights_only=True)['state_dict']
    assert set(written) == set(convert_state_dict(weights))
    result = convert({'stem.9.weight': torch.zeros(1)})
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last == "error: the weight 'stem.9.weight' has no place in CEDNet"
    assert len(list(target.parent.iterdir())) == 1
