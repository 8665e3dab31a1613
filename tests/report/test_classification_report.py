"""Reports of classifiers, of a few scores."""

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from mmcednet.report.classification import Classification, compute_curve

METAINFO = dict(classes=('cat', 'dog', 'owl'))


def make_sample(true, scores):
    sample = DataSample(metainfo=dict(img_path=f'{true}.png'))
    return sample.set_gt_label(true).set_pred_score(torch.tensor(scores))


def test_evaluation():
    task = Classification()
    samples = [
        make_sample(0, [0.9, 0.1, 0.0]),
        make_sample(0, [0.2, 0.7, 0.1]),
        make_sample(1, [0.3, 0.6, 0.1]),
    ]
    records = [task.record(sample, METAINFO) for sample in samples]
    evaluation = task.evaluate(records, METAINFO, [])
    assert evaluation.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert evaluation.table['images'] == [2, 1, 0]
    assert evaluation.table['recall'][:2] == [0.5, 1]
    assert evaluation.table['precision'][:2] == [1, 0.5]
    assert evaluation.table['F1'][:2] == pytest.approx([2 / 3, 2 / 3])
    assert list(evaluation.curves) == ['cat', 'dog']  # there is no owl
    assert evaluation.worst[0]['score'] == pytest.approx(0.2)
    image = np.zeros((2, 2, 3), np.uint8)
    assert list(task.draw(evaluation.worst[0], image, METAINFO)) == ['dog; truth: cat']
    assert list(task.draw(evaluation.worst[2], image, METAINFO)) == ['cat']


def test_curve_takes_equal_scores_together():
    recall, precision = compute_curve(np.array([0.5, 0.9, 0.5, 0.1]), np.array([1, 1, 0, 1], bool))
    assert recall == pytest.approx([1 / 3, 2 / 3, 1])
    assert precision == pytest.approx([1, 2 / 3, 3 / 4])
