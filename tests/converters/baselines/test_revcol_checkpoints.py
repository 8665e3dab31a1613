"""RevCol with converted weights computes the same features as the published code."""

import pytest
import torch
from parity import assert_parity, load_parity

from mmcednet.baselines import RevCol
from mmcednet.converters.baselines import convert_baseline_state_dict


@pytest.fixture(scope='module')
def data(root):
    """A published classifier, with its heads and decoders, and the features of its backbone."""
    return load_parity(root, 'revcol')


def test_features_equal_the_published_code(data):
    model = RevCol(**data['kwargs']).eval()
    model.load_state_dict(convert_baseline_state_dict('revcol', data['state_dict']))
    assert_parity(model, data['input'], data['outputs'])


def test_detector(data):
    """Heads keep their names, and the backbone its prefix."""
    published = {f'backbone.{key}': value for key, value in data['state_dict'].items() if 'sub' in key}
    published['rpn_head.rpn_cls.bias'] = torch.ones(3)
    converted = convert_baseline_state_dict('revcol', published)
    expected = {
        f'backbone.{key}' for key in RevCol(**data['kwargs']).columns.state_dict(prefix='columns.')
    }
    assert set(converted) == expected | {'rpn_head.rpn_cls.bias'}
    assert converted['backbone.columns.1.2.gamma'].shape == (16,)


def test_classifier_without_intermediate_heads(data):
    published = dict(data['state_dict'])
    published['cls.classifier.1.weight'] = torch.ones(5, 20)
    assert 'cls.classifier.1.weight' not in convert_baseline_state_dict('revcol', published)


@pytest.mark.parametrize('key', ['subnet1.level0.blocks.0.alpha', 'norm.weight', 'subnet1.alpha'])
def test_unexpected_key(data, key):
    with pytest.raises(ValueError, match=f'unexpected key {key!r} in a published checkpoint of revcol'):
        convert_baseline_state_dict('revcol', {**data['state_dict'], key: torch.ones(1)})
