"""Converted models compute the same outputs as the released code."""

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.registry import MODELS as mmpretrain_models
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


def load_parity(root, name):
    return torch.load(root / 'tests' / 'assets' / 'parity' / f'{name}.pth', weights_only=True)


def assert_equal_to_scale(ours, theirs):
    """Within 5e-6 of the largest value: float32 rounding adds up over the layers."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-6 * theirs.abs().max().item())


@pytest.mark.parametrize('name', FILES)
def test_outputs_equal_the_released_code(root, name):
    data = load_parity(root, name)
    config = convert_backbone_config(data['module'], data['cls'], data['kwargs'])
    model = MODELS.build(config).eval()
    model.load_state_dict(convert_state_dict(data['state_dict']))
    with torch.no_grad():
        outs = model(data['input'])
    for ours, theirs in zip(outs, data['outputs']['features'], strict=True):
        assert_equal_to_scale(ours, theirs)
    assert model.out_channels == tuple(out.shape[1] for out in outs)


def test_classifier_equals_the_released_code(root):
    data = load_parity(root, 'cls_fpn')
    model = mmpretrain_models.build(convert_classifier_config(data['kwargs'])).eval()
    model.load_state_dict(convert_state_dict(data['state_dict']))
    with torch.no_grad():
        logits = model(data['input'], mode='tensor')
        stages = model.head.compute_stage_logits(model.extract_feat(data['input']))
    assert_equal_to_scale(logits, data['outputs']['logits'])
    for ours, theirs in zip(stages, data['outputs']['stage_logits'], strict=True):
        assert_equal_to_scale(ours, theirs)
