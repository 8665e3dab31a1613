"""The parts of Deformable DETR's graph against mmcv's attention and mmdet's masks."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import MultiScaleDeformableAttention

pytest.importorskip('onnxscript')  # of the extra onnx

from mmcednet.export.deformable_detr import DeformableAttention, make_padding_mask, to_pixels


@pytest.mark.parametrize('coordinates', [2, 4])
def test_attention_equals_that_of_mmcv(coordinates):
    sizes = [(6, 4), (3, 2), (1, 1)]
    attention = MultiScaleDeformableAttention(16, 2, len(sizes), 3, batch_first=True).double().eval()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    tokens = sum(height * width for height, width in sizes)
    inputs = dict(
        query=torch.randn(2, 5, 16),
        query_pos=torch.randn(2, 5, 16),
        value=torch.randn(2, tokens, 16),
        reference_points=torch.rand(2, 5, len(sizes), coordinates),
    )
    inputs = {name: x.double() for name, x in inputs.items()}
    inputs['key_padding_mask'] = torch.rand(2, tokens) < 0.3
    starts = torch.tensor([0, 24, 30])
    with torch.no_grad():
        expected = attention(**inputs, spatial_shapes=torch.tensor(sizes), level_start_index=starts)
        found = DeformableAttention(attention)(**inputs, spatial_shapes=sizes)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('cells', [(12, 20), (6, 10), (3, 5)])
@pytest.mark.parametrize('size', [(96, 160), (95, 129), (65, 150)])
def test_padding_mask_equals_the_interpolated_one(cells, size):
    pixels = torch.ones(2, 96, 160)
    pixels[:, : size[0], : size[1]] = 0
    expected = F.interpolate(pixels[None], size=cells)[0].bool()
    found = make_padding_mask(torch.zeros(2, 7, *cells), size, (96, 160))
    assert torch.equal(found, expected)


def test_boxes_in_pixels():
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.0, 1.0, 0.5, 0.5]]])
    expected = torch.tensor([[[80.0, 15, 120, 35], [0, 37.5, 50, 50]]])
    torch.testing.assert_close(to_pixels(boxes, (50, 200)), expected)
