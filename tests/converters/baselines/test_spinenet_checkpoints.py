"""SpineNet with converted weights computes what the published code does."""

import re

import numpy as np
import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import MODELS, DefaultScope
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


@pytest.fixture(params=['spinenet_96', 'spinenet_143'])
def legacy_head(root, request):
    """The head of a config with the options of docs/fidelity.md, and its smallest anchors' scale."""
    page = (root / 'docs' / 'fidelity.md').read_text()
    options = dict(re.findall(r'^ +(model\.\S+)=(\S+)', page, re.MULTILINE))
    assert len(options) == 4
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / f'{request.param}.py')
    cfg.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in options.items()})
    assert cfg.model.backbone.output_act is False
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = MODELS.build(dict(cfg.model.bbox_head, train_cfg=None, test_cfg=None))
    return head, dict(spinenet_96=3, spinenet_143=4)[request.param]


def test_anchors_of_published_detectors(legacy_head):
    """mmdet 1.x: whole numbers, centred on (stride - 1) / 2, and a width of w ends at w - 1."""
    head, base_scale = legacy_head
    size = (2, 3)
    levels = head.prior_generator.grid_priors([size] * 5, device='cpu')
    for stride, anchors in zip((8, 16, 32, 64, 128), levels):
        expected = []
        for y in range(size[0]):
            for x in range(size[1]):
                for ratio in (0.5, 1, 2):
                    for octave in range(3):
                        side = stride * base_scale * 2 ** (octave / 3)
                        half = (side / ratio**0.5 - 1) / 2, (side * ratio**0.5 - 1) / 2
                        centre = (stride - 1) / 2
                        corners = [
                            centre - half[0],
                            centre - half[1],
                            centre + half[0],
                            centre + half[1],
                        ]
                        shift = np.array([x, y, x, y]) * stride
                        expected.append(np.float32(corners).round() + shift)
        # mmdet 1.x and the options round halves of single precision, each in its own way
        np.testing.assert_allclose(anchors.numpy(), expected, atol=1)
        assert (np.abs(anchors.numpy() - expected) > 1e-4).mean() < 0.02


def test_boxes_of_published_detectors(legacy_head):
    """mmdet 1.x: a box from x1 to x2 is x2 - x1 + 1 wide; a decoded one is not made narrower by 1."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(20, 2, generator=generator) * 100
    anchors = torch.cat([corner, corner + 10 + torch.rand(20, 2, generator=generator) * 50], 1)
    deltas = torch.randn(20, 4, generator=generator) / 2
    size = anchors[:, 2:] - anchors[:, :2] + 1
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2 + size * deltas[:, :2]
    half = size * deltas[:, 2:].exp() / 2
    boxes = legacy_head[0].bbox_coder.decode(anchors, deltas)
    torch.testing.assert_close(boxes, torch.cat([centre - half, centre + half], 1))


@pytest.mark.parametrize(
    'key', ['init_block3.0.conv1.weight', 'endpoint_convs.2.conv.weight', 'conv1.conv.bias']
)
def test_an_unexpected_key_is_an_error(parity, key):
    with pytest.raises(
        ValueError, match=f"unexpected key '{key}' in a published checkpoint of spinenet"
    ):
        convert_baseline_state_dict('spinenet', parity['state_dict'] | {key: torch.zeros(1)})
