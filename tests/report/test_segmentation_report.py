"""Reports of segmenters, of label maps of a few pixels."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmcednet.report.hook import SHOWN_IMAGES, drop_maps
from mmcednet.report.segmentation import Segmentation

METAINFO = dict(classes=('sky', 'road', 'car'), palette=[(9, 9, 250), (90, 90, 90), (250, 0, 0)])


def make_sample(true, predicted):
    sample = SegDataSample(metainfo=dict(img_path='a.png'))
    sample.gt_sem_seg = PixelData(data=torch.tensor([true], dtype=torch.long))
    sample.pred_sem_seg = PixelData(data=torch.tensor([predicted], dtype=torch.long))
    return sample


def test_evaluation():
    task = Segmentation()
    samples = [
        make_sample([[0, 0, 1], [1, 255, 1]], [[0, 1, 1], [1, 2, 1]]),  # 255 is ignored
        make_sample([[1, 1, 1], [0, 0, 0]], [[1, 1, 1], [0, 0, 0]]),
    ]
    records = [task.record(sample, METAINFO) for sample in samples]
    evaluation = task.evaluate(records, METAINFO, [])
    assert evaluation.confusion.tolist() == [[4, 1, 0], [0, 6, 0], [0, 0, 0]]
    table = evaluation.table
    assert table['IoU'][:2] == [4 / 5, 6 / 7]
    assert table['recall'][:2] == [4 / 5, 1]
    assert table['precision'][:2] == [1, 6 / 7]
    assert table['pixels'] == [5 / 11, 6 / 11, 0]
    assert np.isnan([table[key][2] for key in ('IoU', 'recall', 'precision')]).all()
    scores = [record['score'] for record in evaluation.worst]
    assert scores == [pytest.approx((1 / 2 + 3 / 4) / 2), 1]


def test_drawing():
    record = Segmentation().record(make_sample([[0, 255]], [[2, 1]]), METAINFO)
    image = np.full((4, 8, 3), 100, np.uint8)
    panels = Segmentation().draw(record, image, METAINFO)
    assert list(panels) == ['image', 'ground truth', 'prediction']
    assert (panels['ground truth'][:, 4:] == 100).all()  # ignored
    assert (panels['ground truth'][:, :4, 2] > 150).all()  # blue
    assert (panels['prediction'][:, :4, 0] > 150).all()  # red


def test_few_label_maps_are_kept():
    records = [dict(score=index / 100, maps=[]) for index in range(100)][::-1]
    records[50] = None  # an image that could not be recorded
    drop_maps(records)
    kept = [index for index, record in enumerate(records) if record and 'maps' in record]
    assert kept == [*range(SHOWN_IMAGES), *range(100 - SHOWN_IMAGES, 100)]
