"""Operators of the exported graphs, against torch's, the toolboxes' and loops."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn
from torchvision.ops import box_iou

pytest.importorskip('onnxscript')  # of the extra onnx

from mmcednet.export.operators import (
    AdaptivePool,
    ImageInput,
    flatten_level,
    nms,
    replace_adaptive_pools,
)


def make_boxes(*size):
    corner, extent = torch.rand(*size, 2) * 50, torch.rand(*size, 2) * 40
    return torch.cat([corner, corner + extent], dim=-1)


def test_nms_equals_a_loop():
    boxes, scores = make_boxes(2, 30), torch.rand(2, 3, 30)
    expected = set()
    for image in range(2):
        overlaps = box_iou(boxes[image], boxes[image])
        for label in range(3):
            kept = []
            for index in scores[image, label].argsort(descending=True).tolist():
                if scores[image, label, index] > 0.3 and all(overlaps[index, i] <= 0.4 for i in kept):
                    kept.append(index)
            expected |= {(image, label, index) for index in kept}
    found = nms(boxes, scores, 0.4, 0.3).tolist()
    assert 20 < len(found) < 120
    assert set(map(tuple, found)) == expected
    assert len(found) == len(expected)


def test_nms_of_nothing():
    assert nms(make_boxes(2, 4), torch.zeros(2, 3, 4), 0.5, 0.0).shape == (0, 3)


def test_flatten_level():
    x = torch.rand(2, 3 * 5, 4, 6)
    rows = flatten_level(x, 5)
    assert rows.shape == (2, 4 * 6 * 3, 5)
    for y, column, anchor in ((0, 0, 0), (1, 5, 2), (3, 2, 1)):
        expected = x[:, 5 * anchor : 5 * anchor + 5, y, column]
        assert torch.equal(rows[:, (y * 6 + column) * 3 + anchor], expected)


@pytest.mark.parametrize('size', [1, 2, 3, 6])
@pytest.mark.parametrize('height, width', [(6, 6), (7, 13), (5, 2), (1, 1)])
def test_adaptive_pool_equals_that_of_torch(size, height, width):
    x = torch.rand(2, 3, height, width, dtype=torch.float64)
    torch.testing.assert_close(AdaptivePool(size)(x), nn.AdaptiveAvgPool2d(size)(x))


def test_all_adaptive_pools_are_replaced():
    model = nn.Sequential(
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.ReLU()), nn.AdaptiveAvgPool2d((3, 3))
    )
    x = torch.rand(1, 2, 9, 8)
    expected = model(x)
    replace_adaptive_pools(model)
    assert not any(isinstance(module, nn.AdaptiveAvgPool2d) for module in model.modules())
    torch.testing.assert_close(model(x), expected)


def test_adaptive_pool_of_a_rectangle_is_refused():
    with pytest.raises(ValueError, match=r'pool of size \(2, 3\)'):
        replace_adaptive_pools(nn.Sequential(nn.AdaptiveAvgPool2d((2, 3))))


NORMALISED = dict(mean=[10.0, 20.0, 30.0], std=[2.0, 3.0, 4.0])
PREPROCESSORS = [
    ('mmdet', dict(type='DetDataPreprocessor', **NORMALISED, bgr_to_rgb=True, pad_size_divisor=32)),
    ('mmdet', dict(type='DetDataPreprocessor', pad_size_divisor=1)),
    ('mmdet', dict(type='DetDataPreprocessor', **NORMALISED, pad_size_divisor=64, pad_value=7)),
    ('mmseg', dict(type='SegDataPreProcessor', **NORMALISED, bgr_to_rgb=True, size=(64, 64))),
    ('mmpretrain', dict(type='ClsDataPreprocessor', **NORMALISED, to_rgb=True)),
]


@pytest.mark.parametrize('scope, config', PREPROCESSORS)
def test_image_input_equals_the_preprocessor(scope, config):
    pytest.importorskip(scope).utils.register_all_modules(init_default_scope=False)
    preprocessor = MODELS.build(dict(config, type=f'{scope}.{config["type"]}'))
    images = torch.randint(256, (2, 40, 70, 3), dtype=torch.uint8)
    pixels = list(images.permute(0, 3, 1, 2))
    if scope == 'mmpretrain':
        pixels = torch.stack(pixels)
    expected = preprocessor(dict(inputs=pixels, data_samples=None))['inputs']
    torch.testing.assert_close(ImageInput(preprocessor, 'bgr')(images), expected)
    torch.testing.assert_close(ImageInput(preprocessor, 'rgb')(images.flip(-1)), expected)
