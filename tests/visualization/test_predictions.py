"""Drawn predictions, compared with the objects and label maps as given."""

import cv2
import numpy as np
import pytest

from mmcednet.visualization.colours import choose_colours, find_palette
from mmcednet.visualization.predictions import Classes, Style, draw_detections, draw_label_map
from mmcednet.visualization.text import find_free_place, overlap

PLAIN = Style(labels=False, legend=False, line_width=2)


@pytest.fixture
def image():
    return np.full((200, 300, 3), 128, np.uint8)


@pytest.fixture
def classes():
    return Classes(['disc', 'star'], choose_colours(2))


def test_colours_differ():
    """By at least 20 of CIELAB for 20 classes: a tenth of that is just noticeable."""
    colours = choose_colours(20)
    assert (choose_colours(5) == colours[:5]).all()
    lab = cv2.cvtColor((colours / 255).astype(np.float32)[None], cv2.COLOR_RGB2Lab)[0]
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert distances[~np.eye(20, dtype=bool)].min() > 20
    assert len(np.unique(choose_colours(150), axis=0)) == 150


class Dataset:
    METAINFO = dict(classes=('person', 'car'), palette=[(220, 20, 60), (0, 0, 142)])

    def __init__(self, **metainfo):
        self.metainfo = {**self.METAINFO, **metainfo}


def test_palette_of_a_dataset():
    """mmdet keeps the palette of COCO whatever the classes are."""
    own = dict(metainfo=dict(classes=('RBC', 'WBC')))
    found = find_palette(Dataset(classes=('RBC', 'WBC')), own)
    np.testing.assert_array_equal(found, choose_colours(2))
    np.testing.assert_array_equal(find_palette(Dataset(), {}), Dataset.METAINFO['palette'])
    stated = [(1, 2, 3), (4, 5, 6)]
    config = dict(metainfo=dict(classes=('RBC', 'WBC'), palette=stated))
    np.testing.assert_array_equal(find_palette(Dataset(**config['metainfo']), config), stated)
    config['metainfo']['palette'] = 'random'  # a value of mmdet's
    found = find_palette(Dataset(**config['metainfo']), config)
    np.testing.assert_array_equal(found, choose_colours(2))
    assert find_palette(Dataset(classes=None), {}) is None


def test_boxes(image, classes):
    boxes = np.array([[20, 30, 120, 90], [150, 100, 250, 180]], np.float32)
    drawn = draw_detections(image, classes, np.array([0, 1]), boxes, style=PLAIN)
    for box, colour in zip(boxes.astype(int), classes.colours):
        assert (drawn[box[1], box[0] : box[2]] == colour).all()
        assert (drawn[box[1] + 5 : box[3] - 5, box[0] + 5 : box[2] - 5] == 128).all()
    changed = (drawn != 128).any(-1)
    assert not changed[:25].any() and not changed[:, 260:].any()
    none = Style(labels=False, legend=False, line_width=0)
    assert (draw_detections(image, classes, np.array([0, 1]), boxes, style=none) == 128).all()


def test_masks(image, classes):
    mask = np.zeros((1, 200, 300), bool)
    mask[0, 40:80, 60:140] = True
    boxes = np.array([[60, 40, 140, 80]], np.float32)
    drawn = draw_detections(image, classes, np.array([1]), boxes, masks=mask, style=PLAIN)
    np.testing.assert_array_equal(drawn[60, 100], (0.6 * 128 + 0.4 * classes.colours[1]).astype(int))
    assert (drawn[40, 70:130] == classes.colours[1]).all()
    outside = ~cv2.dilate(mask[0].view(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert (drawn[outside] == 128).all()


def test_labels_only_where_there_is_room(image, classes):
    """The large object has a label, the small one, as nuclei are, has none."""
    boxes = np.array([[50, 60, 150, 160], [200, 100, 208, 108]], np.float32)
    style = Style(legend=False, line_width=0)
    scores = np.array([0.9, 0.8])
    changed = (
        draw_detections(image, classes, np.array([0, 1]), boxes, scores, style=style) != 128
    ).any(-1)
    rows, columns = np.nonzero(changed)
    assert 0 < changed[:, 50:150].sum() == changed.sum()
    assert rows.max() < 60 and columns.min() == 50  # above the object


def test_places_do_not_overlap_and_lie_in_the_image():
    taken = []
    random = np.random.default_rng(0)
    for start in random.uniform(-20, 220, (200, 2)):
        place = find_free_place([tuple(start)], (30, 10), (200, 100), taken)
        if place is not None:
            assert place.left >= 0 and place.top >= 0 and place.right <= 200 and place.bottom <= 100
            assert not any(overlap(place, other) for other in taken)
            taken.append(place)
    assert len(taken) > 10
    assert find_free_place([(0, 0)], (300, 10), (200, 100), []) is None


def test_label_map(image, classes):
    label_map = np.zeros((200, 300), np.uint8)
    label_map[:, 150:] = 1
    label_map[:, 250:] = 255  # no class
    drawn = draw_label_map(image, classes, label_map, Style(labels=False, legend=False, line_width=0))
    for part, colour in ((drawn[:, :150], classes.colours[0]), (drawn[:, 150:250], classes.colours[1])):
        assert np.abs(part - (0.4 * 128 + 0.6 * colour)).max() <= 1
    assert (drawn[:, 250:] == 128).all()
    labelled = draw_label_map(image, classes, label_map, Style(legend=False, line_width=0))
    rows, columns = np.nonzero((labelled != drawn).any(-1))
    assert abs(rows[columns < 150].mean() - 100) < 60 and (columns < 250).all()


def test_legends_keep_their_size(image, classes):
    label_map = np.zeros((200, 300), np.uint8)
    one = draw_label_map(image, classes, label_map)
    label_map[:, 150:] = 1
    two = draw_label_map(image, classes, label_map)
    assert one.shape == two.shape
    legend = two[:, 300:].reshape(-1, 3)
    for colour in classes.colours:
        assert (legend == colour).all(-1).sum() > 20
    assert not (one[:, 300:].reshape(-1, 3) == classes.colours[1]).all(-1).any()


def test_long_legends_say_what_is_missing():
    many = Classes([f'class {index}' for index in range(60)], choose_colours(60))
    label_map = np.arange(60, dtype=np.uint8)[None].repeat(100, 0).repeat(4, 1)
    drawn = draw_label_map(np.zeros((100, 240, 3), np.uint8), many, label_map)
    assert drawn.shape[0] == 100
    shown = [(drawn[:, 240:].reshape(-1, 3) == colour).all(-1).any() for colour in many.colours]
    assert 3 < sum(shown) < 10
