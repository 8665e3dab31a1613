"""GiraffeDet with converted weights computes what the published code does."""

import pytest
import torch
from mmengine.registry import DefaultScope

from mmcednet.baselines import GeneralizedFPN, SpaceToDepthChain
from mmcednet.converters.baselines import convert_baseline_state_dict
from mmcednet.heads import GFocalHead


@pytest.fixture(scope='module')
def parity(root):
    return torch.load(root / 'tests' / 'assets' / 'parity' / 'giraffedet.pth', weights_only=True)


@pytest.fixture
def model(parity):
    """Backbone, neck and head, under the names of a detector."""
    anchors = dict(type='AnchorGenerator', ratios=[1.0], octave_base_scale=8, scales_per_octave=1)
    settings = parity['kwargs']
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = GFocalHead(
            **settings['head'],
            anchor_generator=dict(anchors, strides=[8, 16, 32, 64, 128]),
            loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
            loss_bbox=dict(type='GIoULoss'),
        )
    modules = dict(
        backbone=SpaceToDepthChain(**settings['backbone']),
        neck=GeneralizedFPN(**settings['neck']),
        bbox_head=head,
    )
    return torch.nn.ModuleDict(modules).eval()


def test_outputs_equal_the_published_code(parity, model):
    model.load_state_dict(convert_baseline_state_dict('giraffedet', parity['state_dict']))
    with torch.no_grad():
        features = model['backbone'](parity['input'])
        pyramid = model['neck'](features)
        logits, distributions = model['bbox_head'](pyramid)
    outputs = dict(features=features, pyramid=pyramid, distributions=distributions)
    outputs['scores'] = [x.sigmoid() for x in logits]
    assert set(outputs) == set(parity['outputs'])  # of 17 layers of the neck: rounding adds up
    for name, found in outputs.items():
        for ours, theirs in zip(found, parity['outputs'][name], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * theirs.abs().max().item())


@pytest.mark.parametrize(
    'key',
    ['backbone.conv3.conv.weight', 'backbone.focus_4x.conv.bn.bias', 'neck.resample.5.conv.weight'],
)
def test_an_unexpected_key_is_an_error(parity, key):
    with pytest.raises(
        ValueError, match=f"unexpected key '{key}' in a published checkpoint of giraffe"
    ):
        convert_baseline_state_dict('giraffedet', parity['state_dict'] | {key: torch.zeros(1)})
