"""Converted checkpoints of Focal Transformer compute the same features as the published code.

The features have sizes that are no multiples of the window: 36x44, 18x22 and 9x11 tokens.
"""

import pytest
import torch
from mmengine.registry import MODELS
from parity import assert_parity, load_parity
from torch import nn

from mmcednet.converters.baselines import convert_baseline_state_dict


@pytest.fixture(scope='module')
def data(root):
    return load_parity(root, 'focal_transformer')


@pytest.fixture
def network(data):
    return MODELS.build(dict(type='FocalTransformer', **data['kwargs'])).eval()


def convert(state_dict):
    return convert_baseline_state_dict('focal_transformer', state_dict)


def test_features_equal_the_published_code(data, network):
    result = network.load_state_dict(convert(data['state_dict']), strict=False)
    assert result.unexpected_keys == []
    # a classifier has no norms of the stages' outputs
    assert all(key.startswith('norms.') for key in result.missing_keys)
    assert len(result.missing_keys) == 2 * len(data['kwargs']['depths'])
    network.norms = nn.ModuleList(nn.Identity() for _ in network.norms)
    assert_parity(network, data['input'], data['outputs'])


def test_keys_of_a_segmenter(data):
    """The heads keep their names; the backbone's are those of a classifier."""
    published = {f'backbone.{key}': value for key, value in data['state_dict'].items()}
    converted = convert(dict(published, **{'decode_head.conv_seg.bias': torch.zeros(150)}))
    expected = {f'backbone.{key}' for key in convert(data['state_dict'])}
    assert set(converted) == expected | {'decode_head.conv_seg.bias'}


@pytest.mark.parametrize(
    'key',
    [
        'layers.0.blocks.0.gamma_1',  # layer scale, which no published network has
        'layers.0.blocks.0.pool_layers.1.weight',  # a third level
        'layers.0.blocks.0.attn.coord2rpb_all.0.0.weight',  # version 2
    ],
)
def test_an_unexpected_key_is_an_error(data, key):
    with pytest.raises(ValueError, match=f'unexpected key {key!r} in a published checkpoint of focal'):
        convert(dict(data['state_dict'], **{key: torch.zeros(1)}))
