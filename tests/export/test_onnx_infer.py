"""examples/onnx_infer.py resizes and crops as the test pipelines of the toolboxes do."""

import runpy

import numpy as np
import pytest
from mmengine.config import Config

pytest.importorskip('onnxruntime')  # of the extra onnx
from mmdet.datasets.transforms import Resize
from mmpretrain.datasets.transforms import CenterCrop, ResizeEdge

from mmcednet.export.onnx_file import find_geometry

SIZES = [(480, 641), (641, 480), (255, 224), (99, 99)]


@pytest.fixture(scope='module')
def resize(root):
    return runpy.run_path(str(root / 'examples' / 'onnx_infer.py'))['resize']


def describe(*steps):
    """What an exported file says of a test pipeline."""
    dataset = dict(type='CustomDataset', pipeline=[dict(type='LoadImageFromFile'), *steps])
    return list(find_geometry(Config(dict(test_dataloader=dict(dataset=dataset)))))


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize(
    'steps',
    [
        [dict(type='ResizeEdge', scale=256), dict(type='CenterCrop', crop_size=224)],
        [dict(type='CenterCrop', crop_size=(100, 60))],
        [dict(type='Resize', scale=64)],
        [dict(type='Resize', scale=(320, 200), keep_ratio=True)],
    ],
)
def test_resizing(resize, steps, size):
    image = np.random.RandomState(0).randint(256, size=(*size, 3), dtype=np.uint8)
    transforms = dict(ResizeEdge=ResizeEdge, CenterCrop=CenterCrop, Resize=Resize)
    expected = dict(img=image)
    for step in steps:
        settings = {key: value for key, value in step.items() if key != 'type'}
        expected = transforms[step['type']](**settings)(expected)
    np.testing.assert_array_equal(resize(image, describe(*steps)), expected['img'])


@pytest.mark.parametrize(
    'step',
    [
        dict(type='Resize', scale_factor=0.5),
        dict(type='ResizeEdge', scale=256, edge='long'),
        dict(type='mmpretrain.CenterCrop', crop_size=64, auto_pad=True),
    ],
)
def test_steps_that_cannot_be_described(step):
    with pytest.raises(
        ValueError, match=r'the step .* of the test pipeline cannot be described in the'
    ):
        describe(step)
