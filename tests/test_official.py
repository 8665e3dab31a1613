"""The authors' models: same outputs, and sentences for what has no place."""

import subprocess
import sys

import pytest
import torch
from mmengine.registry import MODELS

from mmcednet.official import backbone_config, convert_state_dict

FILES = ['det_onestage_fpn', 'det_twostage_fpn', 'seg_fpn']


def load(root, name):
    return torch.load(root / 'tests' / 'data' / 'parity' / f'{name}.pth', weights_only=True)


@pytest.mark.parametrize('name', FILES)
def test_outputs_equal_the_released_code(root, name):
    data = load(root, name)
    config = backbone_config(data['module'], data['cls'], data['kwargs'])
    model = MODELS.build(config).eval()
    model.load_state_dict(convert_state_dict(data['state_dict']))
    with torch.no_grad():
        outs = model(data['input'])
    for ours, theirs in zip(outs, data['outputs']['features'], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert model.out_channels == tuple(out.shape[1] for out in outs)


def test_prefix_is_kept_and_heads_stay(root):
    weights = load(root, 'det_onestage_fpn')['state_dict']
    plain = convert_state_dict(weights)
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
        ('det', 'CEDNetWrapper', dict(norm_cfg=dict(type='LN', affine=False)), 'norm_cfg .*affine'),
        ('det', 'CEDNetWrapper', dict(pretrained='a.pth'), "pretrained='a.pth'"),
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
    assert not plain['lr_block']
    assert plain['out_levels'] == (2, 3, 4, 5)


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
