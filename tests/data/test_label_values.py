"""Values of label maps become the indices of their classes."""

import numpy as np
import pytest

from mmcednet.data import MapLabels


def test_values_become_indices():
    labels = np.array([[0, 255, 128], [7, 0, 255]], np.uint8)
    results = MapLabels((0, 255, 128))(dict(gt_seg_map=labels, seg_fields=['gt_seg_map']))
    assert results['gt_seg_map'].tolist() == [[0, 1, 2], [255, 0, 1]]
    assert results['gt_seg_map'].dtype == np.uint8
    results = MapLabels((255, 0), ignored=(128,))(dict(gt_seg_map=labels, seg_fields=['gt_seg_map']))
    assert results['gt_seg_map'].tolist() == [[1, 0, 255], [255, 1, 0]]


def test_samples_without_label_maps_stay():
    """Inference has none."""
    assert MapLabels((0, 255))(dict(img_path='a.png')) == dict(img_path='a.png')


@pytest.mark.parametrize('values', [(0, 0), (-1, 3), (0, 256)])
def test_wrong_values(values):
    with pytest.raises(ValueError, match='must be different numbers from 0 to 255'):
        MapLabels(values)
    with pytest.raises(ValueError, match=r'the values \(0, 1, 1\) must be different'):
        MapLabels((0, 1), ignored=(1,))
