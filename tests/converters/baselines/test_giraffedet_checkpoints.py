"""GiraffeDet with converted weights computes what the published code does."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from parity import assert_parity, load_parity

from mmcednet.baselines import GeneralizedFPN, SpaceToDepthChain
from mmcednet.converters.baselines import convert_baseline_state_dict, giraffedet
from mmcednet.heads import GFocalHead


@pytest.fixture(scope='module')
def parity(root):
    return load_parity(root, 'giraffedet')


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


def test_outputs_equal_the_published_code(parity, model, monkeypatch):
    model.load_state_dict(convert_baseline_state_dict('giraffedet', parity['state_dict']))

    def compute(model, images):
        with monkeypatch.context() as patch:
            if images.dtype == torch.float64:  # mmdet's head converts float16 to float32, but this too
                patch.setattr(torch.Tensor, 'float', torch.Tensor.double)
            features = model['backbone'](images)
            pyramid = model['neck'](features)
            logits, distributions = model['bbox_head'](pyramid)
        return [*features, *pyramid, *distributions, *(x.sigmoid() for x in logits)]

    parts = ('features', 'pyramid', 'distributions', 'scores')
    assert set(parity['outputs']) == set(parts)
    expected = [out for part in parts for out in parity['outputs'][part]]
    assert_parity(model, parity['input'], expected, compute)


def test_the_output_for_the_background_is_dropped(root, parity, monkeypatch):
    """Published detectors have 81 outputs, of which the first 80 are the classes."""
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'giraffedet_d11.py').model.bbox_head
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = MODELS.build(dict(cfg, train_cfg=None, test_cfg=None))
    weights = {f'bbox_head.{key}': value for key, value in head.state_dict().items()}
    published = dict(weights)
    for name in ('weight', 'bias'):
        value = weights[f'bbox_head.gfl_cls.{name}']
        published[f'bbox_head.gfl_cls.{name}'] = torch.cat([value, torch.ones_like(value[:1])])
    lines = []
    monkeypatch.setattr(giraffedet, 'print_log', lambda line, logger: lines.append(line))
    converted = convert_baseline_state_dict('giraffedet', parity['state_dict'] | published)
    assert lines == ['bbox_head.gfl_cls.weight has 81 outputs: the first 80 are the classes']
    assert {key: converted[key].shape for key in weights} == {
        key: value.shape for key, value in weights.items()
    }
    for key, value in weights.items():
        torch.testing.assert_close(converted[key], value)


@pytest.mark.parametrize(
    'key',
    ['backbone.conv3.conv.weight', 'backbone.focus_4x.conv.bn.bias', 'neck.resample.5.conv.weight'],
)
def test_an_unexpected_key_is_an_error(parity, key):
    with pytest.raises(
        ValueError, match=f"unexpected key '{key}' in a published checkpoint of giraffe"
    ):
        convert_baseline_state_dict('giraffedet', parity['state_dict'] | {key: torch.zeros(1)})
