"""timm's FocalNet with converted weights computes what the published code for detection does."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from parity import assert_parity, load_parity
from timm.models import build_model_with_cfg, register_model
from timm.models.focalnet import FocalNet

from mmcednet.converters.baselines import convert_baseline_state_dict

FOCAL = '.modulation.focal_layers.'


@pytest.fixture(scope='module')
def parity(root):
    return load_parity(root, 'focalnet')


@register_model
def focalnet_parity(pretrained: bool, **kwargs):
    """timm's FocalNet of any size."""
    features = dict(flatten_sequential=True, out_indices=(0, 1, 2, 3))
    return build_model_with_cfg(FocalNet, 'focalnet_parity', pretrained, feature_cfg=features, **kwargs)


@pytest.fixture
def model(parity):
    network = dict(
        type='mmpretrain.TIMMBackbone',
        model_name='focalnet_parity',
        features_only=True,
        **parity['kwargs'],
    )
    channels = [parity['kwargs']['embed_dim'] * 2**i for i in range(4)]
    return MODELS.build(dict(type='NormedLevels', network=network, channels=channels)).eval()


def to_classifier(state_dict):
    """A classifier's checkpoint: kernels of 3, 5 and 7, a norm at the end and a head."""
    weights = {
        key: value[..., 3:-3, 3:-3].clone() if FOCAL in key else value
        for key, value in state_dict.items()
        if not key.startswith('norm')
    }
    extra = {
        f'{name}.{param}': torch.ones(4) for name in ('norm', 'head') for param in ('weight', 'bias')
    }
    return weights | extra


def test_outputs_equal_the_published_code(model, parity):
    model.load_state_dict(convert_baseline_state_dict('focalnet', parity['state_dict']))
    with torch.no_grad():
        assert all(out.is_contiguous() for out in model(parity['input']))
    assert_parity(model, parity['input'], parity['outputs'])


def test_the_kernels_of_a_classifier_are_padded(model, parity):
    classifier = to_classifier(parity['state_dict'])
    converted = convert_baseline_state_dict('focalnet', classifier)
    result = model.load_state_dict(converted, strict=False)
    assert not result.unexpected_keys
    assert set(result.missing_keys) == {f'norms.{i}.{p}' for i in range(4) for p in ('weight', 'bias')}
    for key, theirs in classifier.items():
        if FOCAL in key:
            ours = converted['network.timm_model.' + key.replace('layers.', 'layers_', 1)]
            x = torch.randn(1, len(ours), 20, 20)
            expected = F.conv2d(x, theirs, padding=theirs.shape[-1] // 2, groups=len(theirs))
            result = F.conv2d(x, ours, padding=ours.shape[-1] // 2, groups=len(ours))
            torch.testing.assert_close(result, expected)


def test_a_detector_keeps_its_heads(model, parity):
    heads = {'neck.fpn_convs.0.conv.bias': torch.ones(4), 'roi_head.fc.weight': torch.ones(4, 4)}
    detector = {f'backbone.{key}': value for key, value in parity['state_dict'].items()} | heads
    converted = convert_baseline_state_dict('focalnet', detector)
    assert set(converted) == set(heads) | {f'backbone.{key}' for key in model.state_dict()}
    assert converted['roi_head.fc.weight'].shape == (4, 4)


@pytest.mark.parametrize('key', ['layers.3.downsample.proj.bias', 'layers.0.blocks.0.ln.bias', 'norm5'])
def test_an_unexpected_key_is_an_error(parity, key):
    with pytest.raises(ValueError, match=f"unexpected key '{key}' in a published checkpoint of focaln"):
        convert_baseline_state_dict('focalnet', parity['state_dict'] | {key: torch.zeros(1)})
