"""Curves of a log, and the confusion of classes."""

import csv
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmcednet.visualization import charts


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn."""
    found, save = [], charts.save

    def keep(figure, out):
        found.append(figure)
        save(figure, out)

    monkeypatch.setattr(charts, 'save', keep)
    return found


def test_curves_show_the_log(tmp_path, figures):
    log = tmp_path / 'scalars.json'
    entries = [dict(loss=2.0, iter=10, step=10), dict(loss=1.0, iter=20, step=20)]
    entries += [{'coco/bbox_mAP': 0.25, 'mIoU': 12.5, 'time': 3.0, 'step': 1}]
    log.write_text('\n'.join(map(json.dumps, entries)))
    charts.draw_curves(log, Config(), tmp_path / 'curves.png')
    left, right = figures[0].axes
    assert left.lines[0].get_xydata().tolist() == [[10, 2.0], [20, 1.0]]
    assert [line.get_label() for line in right.lines] == ['box AP', 'mIoU']
    assert [line.get_xydata().tolist() for line in right.lines] == [[[1, 0.25]], [[1, 0.125]]]
    assert [path.name for path in tmp_path.glob('*.png')] == ['curves.png']

    charts.write_csv(charts.read_log(log), tmp_path / 'curves.csv')
    with open(tmp_path / 'curves.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['loss'] for row in rows] == ['2.0', '1.0', '']
    assert rows[2]['coco/bbox_mAP'] == '0.25'


def test_metrics_that_are_no_shares(tmp_path, figures):
    log = tmp_path / 'scalars.json'
    entry = {'multi-label/mAP': 55.0, 'time': 3.0, 'data_time': 0.1, 'step': 1}
    log.write_text(json.dumps(dict(loss=2.0, iter=1, step=1)) + f'\n{json.dumps(entry)}\n{{"loss": 1.')
    charts.draw_curves(log, Config(), tmp_path / 'curves.png')
    right = figures[0].axes[1]
    assert [line.get_label() for line in right.lines] == ['multi-label/mAP']
    assert right.get_ylim()[1] > 55


@pytest.mark.parametrize('number', [1, 40])
def test_confusion_matrix_is_legible(tmp_path, figures, number):
    confusion = np.diag(np.arange(number) + 3)
    names = [f'class {index}' for index in range(number)]
    charts.draw_confusion(confusion, names, 'objects', tmp_path / 'matrix.png')
    axes = figures[0].axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts == (['100 %\n3'] if number == 1 else [])
    height, width = cv2.imread(str(tmp_path / 'matrix.png')).shape[:2]
    assert min(height, width) > 400 + 20 * number


def test_the_worst_of_many_classes_have_curves(tmp_path, figures):
    recall = np.linspace(0, 1, 11)
    curves = {f'class {index}': (recall, np.full(11, index / 20)) for index in range(20)}
    charts.draw_precision_recall(curves, tmp_path / 'curves.png')
    axes = figures[0].axes[0]
    assert [line.get_label() for line in axes.lines] == [f'class {index}' for index in range(10)]
    assert axes.get_title() == 'the 10 worst of 20 classes'


@pytest.mark.slow
def test_the_backend_stays_as_it_is(tmp_path):
    """Importing the package and drawing must not keep a notebook from showing its own figures."""
    code = (
        "import matplotlib, sys; matplotlib.use('svg'); from pathlib import Path;"
        'from mmcednet.visualization import charts, losses;'
        "losses.draw_losses({'loss': [(1, 2.0), (2, 1.0)]}, Path(sys.argv[1]));"
        'print(matplotlib.get_backend())'
    )
    command = [sys.executable, '-c', code, str(tmp_path / 'losses.png')]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ['svg']
    assert (tmp_path / 'losses.png').is_file()
