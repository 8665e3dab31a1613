"""The functions behind the web demo; tests/tools/test_web_demo.py drives the page."""

import socket
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from small_models import SHAPES, save_random_model

from mmcednet.inference.predict import load_predictor

pytestmark = [
    pytest.mark.slow,  # importing gradio takes seconds
    pytest.mark.skipif(find_spec('gradio') is None, reason='gradio is not installed'),
]


def test_redrawing_does_not_run_the_network(root, tmp_path, shapes):
    from mmcednet.inference.web import Demo

    config = root / 'configs' / 'mask_rcnn' / 'cednet_nano_shapes.py'
    path = save_random_model(config, tmp_path / 'a.pth', classes=SHAPES)
    predictor = load_predictor(str(config), str(path), 'cpu')
    demo = Demo(predictor)
    prediction, message = demo.predict(dict(path=str(shapes / 'val' / '00000.png')))
    assert message.startswith('64 x 64 pixels, predicted in ')
    image, rows = demo.draw(prediction, 0.0, [0, 1, 2, 3])
    with torch.no_grad():
        for weight in predictor.inferencer.model.parameters():
            weight.fill_(float('nan'))
    again, same = demo.draw(prediction, 0.0, [0, 1, 2, 3])
    assert same == rows
    assert again.shape == image.shape
    scores = prediction.sample.pred_instances.scores
    threshold = scores.median().item()
    _, fewer = demo.draw(prediction, threshold, [0, 1, 2, 3])
    assert len(fewer) == (scores >= threshold).sum() < len(rows)
    _, discs = demo.draw(prediction, 0.0, [0])
    assert discs == [row for row in rows if row[0] == 'disc']
    empty, none = demo.draw(prediction, 0.0, [])
    np.testing.assert_array_equal(empty[:, :64], prediction.image)
    plain, _ = demo.draw(prediction, 0.0, [], [], 0)
    np.testing.assert_array_equal(plain, prediction.image)
    assert none == []


def test_classifiers_are_refused(load_small):
    from mmcednet.inference.web import build_app

    with pytest.raises(ValueError, match=r'shows detectors and segmenters; this is a classifier$'):
        build_app(load_small('imagenet'), 'title', 'description', [])


def test_port_in_use(load_small):
    from mmcednet.inference.web import build_app, serve

    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen()
        port = server.getsockname()[1]
        app = build_app(load_small('upernet'), 'title', 'description', [])
        for number in (port, 70000):
            with pytest.raises(ValueError, match=f'^port {number} of 127.0.0.1 cannot be used: '):
                serve(app, '127.0.0.1', number)
