"""CSWin with converted weights computes what the published code does."""

import pytest
import torch
from parity import assert_parity, load_parity

from mmcednet.baselines import CSWin
from mmcednet.converters.baselines import convert_baseline_state_dict

NORMS = ('norm0', 'norm1', 'norm2', 'norm3')  # of the stages


@pytest.fixture(scope='module')
def parity(root):
    return load_parity(root, 'cswin')


def test_outputs_equal_the_published_code(parity):
    model = CSWin(**parity['kwargs']).eval()
    model.load_state_dict(convert_baseline_state_dict('cswin', parity['state_dict']))
    assert_parity(model, parity['input'], parity['outputs'])


def test_a_classifier_loses_its_head_and_a_detector_keeps_it(parity):
    extra = {'norm.weight': torch.ones(4), 'head.bias': torch.zeros(4)}
    expected = set(CSWin(**parity['kwargs']).state_dict())
    assert set(convert_baseline_state_dict('cswin', parity['state_dict'] | extra)) == expected
    detector = {f'backbone.{key}': value for key, value in parity['state_dict'].items()}
    detector |= {'neck.lateral_convs.0.conv.bias': torch.zeros(4), 'bbox_head.bias': torch.ones(4)}
    assert set(convert_baseline_state_dict('cswin', detector)) == {
        'neck.lateral_convs.0.conv.bias',
        'bbox_head.bias',
        *(f'backbone.{key}' for key in expected),
    }


def test_norms_of_a_segmenter_are_those_of_the_stages(parity):
    """Its authors' segmenters number the norms of the stages from 1."""
    torch.manual_seed(0)
    expected = {key: torch.randn_like(value) for key, value in parity['state_dict'].items()}
    segmenter = {
        f'backbone.norm{int(key[4]) + 1}{key[5:]}' if key[:5] in NORMS else f'backbone.{key}': value
        for key, value in expected.items()
    }
    assert {'backbone.norm4.weight', 'backbone.norm1.weight'} <= set(segmenter)
    assert 'backbone.norm0.weight' not in segmenter
    segmenter['decode_head.conv_seg.bias'] = torch.zeros(4)
    converted = convert_baseline_state_dict('cswin', segmenter)
    model = CSWin(**parity['kwargs'])
    model.load_state_dict(
        {key.removeprefix('backbone.'): value for key, value in converted.items() if 'head' not in key}
    )
    for stage in range(4):
        norm = getattr(model, f'norm{stage}')
        torch.testing.assert_close(norm.weight.data, expected[f'norm{stage}.weight'])
        torch.testing.assert_close(norm.bias.data, expected[f'norm{stage}.bias'])


@pytest.mark.parametrize('key', ['stage1.0.mlp.fc3.bias', 'stage5.0.qkv.bias', 'merge1.bias'])
def test_an_unexpected_key_is_an_error(parity, key):
    with pytest.raises(ValueError, match=f"unexpected key '{key}' in a published checkpoint of cswin"):
        convert_baseline_state_dict('cswin', parity['state_dict'] | {key: torch.zeros(1)})
