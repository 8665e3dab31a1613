"""Settings chosen from measurements."""

import numpy as np
import pytest

from mmcednet.own_data import choices
from mmcednet.own_data.data_folder import Measurements


def make_data(size=(640, 480), objects=(40.0, 80.0, 160.0), ratios=(0.8, 1.2), images=200):
    """Square objects of these three sizes, in images of one size."""
    boxes = np.repeat(objects, (10, 80, 10))[:, None].repeat(2, 1)
    return Measurements(
        images, len(boxes), ('cell',), size, boxes, np.tile(size, (len(boxes), 1)), ratios, True
    )


@pytest.mark.parametrize(
    ('size', 'smallest', 'arch', 'expected'),
    [
        ((640, 480), 40, 'tiny', (640, 480)),  # as they are
        ((4000, 3000), 80, 'tiny', (1067, 800)),  # cut to mmdet's 1333x800
        ((3000, 1000), 80, 'tiny', (1333, 444)),
        ((640, 480), 10, 'tiny', (1024, 768)),  # objects of 10 px become 16 px
        ((200, 100), 2, 'tiny', (400, 200)),  # at most twice as large
        ((640, 480), 40, 'nano', (320, 240)),
        ((640, 480), 20, 'nano', (512, 384)),
        ((1920, 1080), 10, 'nano', (640, 360)),
    ],
)
def test_scale(size, smallest, arch, expected):
    data = make_data(size, (smallest, 2 * smallest, 3 * smallest))
    assert choices.choose_scale(data, arch).value == expected


def test_the_smallest_anchors_fit_the_smallest_objects():
    data = make_data()
    assert choices.choose_base_size(data, (640, 480), 8, (1.5, 4)).value == 4  # 40 / 8, at most 4
    assert choices.choose_base_size(data, (320, 240), 8, (1.5, 4)).value == 2.5
    assert choices.choose_base_size(data, (64, 48), 8, (1.5, 4)).value == 1.5


def test_anchors_have_one_ratio_for_square_objects_only():
    assert choices.choose_ratios(make_data()).value == [1.0]
    assert choices.choose_ratios(make_data(ratios=(0.4, 1.0))).value == [0.5, 1.0, 2.0]
    assert choices.choose_ratios(make_data(ratios=(1.0, 2.5))).value == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ('images', 'arch', 'batch', 'halved', 'epochs'),
    [
        (1000, 'tiny', 4, False, 80),  # 20,000 iterations
        (1000, 'tiny', 16, False, 300),  # at most 300 epochs
        (118000, 'tiny', 16, False, 12),  # at least 12
        (200, 'nano', 4, False, 50),
        (200, 'nano', 4, True, 25),
        (2, 'nano', 4, False, 300),
    ],
)
def test_epochs(images, arch, batch, halved, epochs):
    choice = choices.choose_epochs(images, arch, batch, halved)
    assert choice.value == epochs
    assert choice.reason.endswith('as measured on blood cells') == halved
