"""Converted models compute the same outputs as the released code."""

import pytest
from mmengine.registry import MODELS
from mmpretrain.registry import MODELS as mmpretrain_models
from parity import assert_parity, load_parity
from released_configs import convert_backbone_config, convert_classifier_config

from mmcednet.converters import convert_state_dict

FILES = [
    'det_onestage_fpn',
    'det_onestage_resnet',
    'det_onestage_swin',
    'det_onestage_unet',
    'det_twostage_fpn',
    'seg_fpn',
]


@pytest.mark.parametrize('name', FILES)
def test_outputs_equal_the_released_code(root, name):
    data = load_parity(root, name)
    config = convert_backbone_config(data['module'], data['cls'], data['kwargs'])
    model = MODELS.build(config).eval()
    model.load_state_dict(convert_state_dict(data['state_dict']))
    expected = data['outputs']['features']
    assert_parity(model, data['input'], expected)
    assert model.out_channels == tuple(out.shape[1] for out in expected)


def test_classifier_equals_the_released_code(root):
    data = load_parity(root, 'cls_fpn')
    model = mmpretrain_models.build(convert_classifier_config(data['kwargs'])).eval()
    model.load_state_dict(convert_state_dict(data['state_dict']))

    def compute(model, images):
        stages = model.head.compute_stage_logits(model.extract_feat(images))
        return [model(images, mode='tensor'), *stages]

    outputs = data['outputs']
    assert_parity(model, data['input'], [outputs['logits'], *outputs['stage_logits']], compute)
