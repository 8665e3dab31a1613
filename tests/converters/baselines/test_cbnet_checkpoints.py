"""CBNet with converted weights computes what the published code does."""

import pytest
import torch
from parity import assert_parity, load_parity

from mmcednet.baselines import CBNet
from mmcednet.converters.baselines import convert_baseline_state_dict


@pytest.fixture(scope='module')
def parity(root):
    data = load_parity(root, 'cbnet')
    weights = data['state_dict']
    data['state_dict'] = {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
    return data


def build(parity, num_backbones):
    backbone = dict(type='mmdet.ResNeXt', **parity['kwargs'])
    return CBNet(backbone, num_backbones=num_backbones).eval()


def select_dual(state_dict):
    """The weights of two of three backbones."""
    return {key: value for key, value in state_dict.items() if 'third' not in key}


def test_three_backbones_equal_the_published_code(parity):
    model = build(parity, 3)
    model.load_state_dict(convert_baseline_state_dict('cbnet', parity['state_dict']))
    assert_parity(model, parity['input'], parity['outputs'])


def test_two_backbones_equal_the_published_code(parity):
    model = build(parity, 2)
    model.load_state_dict(convert_baseline_state_dict('cbnet', select_dual(parity['state_dict'])))
    assert_parity(model, parity['input'], parity['dual_outputs'])


def test_a_classifier_loses_its_head_and_a_detector_keeps_its_own(parity):
    expected = set(build(parity, 2).state_dict())
    dual = select_dual(parity['state_dict'])
    classifier = dual | {'fc.weight': torch.zeros(2, 2), 'fc.bias': torch.zeros(2)}
    assert set(convert_baseline_state_dict('cbnet', classifier)) == expected
    heads = {'neck.fpn_convs.0.conv.bias': torch.ones(4), 'bbox_head.0.fc_cls.bias': torch.ones(4)}
    detector = {f'backbone.{key}': value for key, value in dual.items()} | heads
    converted = convert_baseline_state_dict('cbnet', detector)
    assert set(converted) == {*heads, *(f'backbone.{key}' for key in expected)}


@pytest.mark.parametrize(
    'key', ['fourth_layer1.0.conv1.weight', 'eb_second_conv1.bias', 'layer1.0.conv2_offset.weight']
)
def test_an_unexpected_key_is_an_error(parity, key):
    with pytest.raises(ValueError, match=f"unexpected key '{key}' in a published checkpoint of cbnet"):
        convert_baseline_state_dict('cbnet', parity['state_dict'] | {key: torch.zeros(1)})
