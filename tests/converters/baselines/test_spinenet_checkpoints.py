"""SpineNet with converted weights computes what the published code does."""

import pytest
import torch
from parity import assert_parity, load_parity

from mmcednet.baselines import SpineNet
from mmcednet.converters.baselines import convert_baseline_state_dict


@pytest.fixture(scope='module')
def parity(root):
    return load_parity(root, 'spinenet')


def test_outputs_equal_the_published_code(parity):
    model = SpineNet(**parity['kwargs']).eval()
    model.load_state_dict(convert_baseline_state_dict('spinenet', parity['state_dict']))
    assert_parity(model, parity['input'], parity['outputs'])


def test_a_detector_keeps_its_head(parity):
    detector = {f'backbone.{key}': value for key, value in parity['state_dict'].items()}
    detector['bbox_head.retina_cls.bias'] = torch.zeros(4)
    expected = {f'backbone.{key}' for key in SpineNet(**parity['kwargs']).state_dict()}
    assert set(convert_baseline_state_dict('spinenet', detector)) == {
        *expected,
        'bbox_head.retina_cls.bias',
    }


@pytest.mark.parametrize(
    'key', ['init_block3.0.conv1.weight', 'endpoint_convs.2.conv.weight', 'conv1.conv.bias']
)
def test_an_unexpected_key_is_an_error(parity, key):
    with pytest.raises(
        ValueError, match=f"unexpected key '{key}' in a published checkpoint of spinenet"
    ):
        convert_baseline_state_dict('spinenet', parity['state_dict'] | {key: torch.zeros(1)})
