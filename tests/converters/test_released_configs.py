"""Released arguments become our configs; what is not supported is reported."""

import pytest
from mmengine.registry import MODELS
from released_configs import convert_backbone_config, convert_classifier_config


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
def test_unsupported_arguments_are_reported(module, cls, kwargs, message):
    with pytest.raises(ValueError, match=message):
        convert_backbone_config(module, cls, kwargs)


def test_released_defaults_are_tiny_without_final_decoder():
    config = convert_backbone_config('det', 'CEDNetWrapper', dict(blocks=[[2, 4, 2]] * 3))
    ours, tiny = (
        MODELS.build(c)
        for c in (config, dict(type='CEDNet', arch='tiny', final_decoder=False, pyramid=dict()))
    )
    shapes = {key: value.shape for key, value in ours.state_dict().items()}
    assert shapes == {key: value.shape for key, value in tiny.state_dict().items()}
    plain = convert_backbone_config('det', 'CEDNetWrapperMask2Former', dict(focal_block='NeXtBlock'))
    assert not plain['long_range']
    assert plain['out_levels'] == (2, 3, 4, 5)


def test_optional_arguments_and_defaults():
    config = convert_backbone_config('det', 'CEDNetWrapper', dict(pretrained='a.pth'))
    assert config['init_cfg'] == dict(type='Pretrained', checkpoint='a.pth')
    assert convert_backbone_config('det', 'CEDNetWrapper', {})['init_cfg'] is None
    assert convert_classifier_config(dict(pretrained=False))['backbone']['init_cfg'] is None
    norm = dict(type='LN', eps=1e-6, data_format='channels_first_v2', requires_grad=True)
    assert convert_backbone_config('det', 'CEDNetWrapper', dict(norm_cfg=norm))['mixer'] == 'dwconv'
    resnet = dict(base_block='Bottleneck', focal_block='DBottleneck', act_type='relu')
    norm = dict(type='BN', eps=1e-5, momentum=0.1)
    assert (
        convert_backbone_config('det', 'CEDNetWrapper', dict(resnet, norm_cfg=norm))['mixer'] == 'conv'
    )
    assert convert_backbone_config('det', 'CEDNet', {})['out_levels'] == (3, 4, 5)


def test_classifiers_never_have_a_final_decoder():
    config = convert_classifier_config(
        dict(num_classes=7, last_decoder=True, decoder_type='DecoderUNet')
    )
    assert not config['backbone']['final_decoder']
    assert config['backbone']['style'] == 'unet'
    assert config['head']['num_classes'] == 7
    config = convert_classifier_config(
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
