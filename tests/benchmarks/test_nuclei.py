"""benchmarks/nuclei.py: images with a mask for each nucleus become a dataset in COCO's format."""

import importlib
import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO


@pytest.fixture
def nuclei(import_benchmarks):
    return importlib.import_module('nuclei')


def draw_image(folder, *boxes):
    """A folder of the Data Science Bowl: an image with a rectangle (x, y, w, h) for each nucleus."""
    image = np.zeros((20, 30, 3), np.uint8)
    for part in ('images', 'masks'):
        (folder / part).mkdir(parents=True)
    for index, (x, y, w, h) in enumerate(boxes):
        mask = np.zeros((20, 30), np.uint8)
        mask[y : y + h, x : x + w] = 255
        image[mask > 0] = 50 + index
        cv2.imwrite(str(folder / 'masks' / f'{index}.png'), mask)
    cv2.imwrite(str(folder / 'images' / f'{folder.name}.png'), image)


def test_boxes_areas_and_outlines(nuclei, tmp_path):
    source = tmp_path / 'stage1_train'
    draw_image(source / 'aa11', (2, 3, 5, 6), (10, 4, 8, 7), (25, 1, 1, 1))  # the last is a dot
    draw_image(source / 'bb22', (1, 1, 4, 4))
    draw_image(source / 'cc33', (1, 1, 4, 4))  # in no list
    nuclei.convert(source, tmp_path / 'out', dict(train=['aa'], val=['bb']))
    coco = COCO(tmp_path / 'out' / 'train.json')
    assert [item['bbox'] for item in coco.anns.values()] == [[2, 3, 5, 6], [10, 4, 8, 7]]
    assert [item['area'] for item in coco.anns.values()] == [30, 56]
    mask = coco.annToMask(coco.anns[2])  # of the outline, pycocotools leaves out a part of the border
    assert mask[5:10, 11:17].all() and not mask[:, :10].any()
    assert cv2.imread(str(tmp_path / 'out' / 'images' / 'aa.png')).shape == (20, 30, 3)
    assert {path.name for path in (tmp_path / 'out' / 'images').iterdir()} == {'aa.png', 'bb.png'}


def test_errors(nuclei, tmp_path):
    arguments = [str(tmp_path), '-o', str(tmp_path / 'out')]
    with pytest.raises(SystemExit, match=f'the folder {tmp_path}/stage1_train does not exist'):
        nuclei.main(arguments)
    draw_image(tmp_path / 'stage1_train' / 'aa11', (1, 1, 4, 4))
    with pytest.raises(SystemExit, match='lacks 270 of the images, such as '):
        nuclei.main(arguments)


def test_the_lists_are_apart(nuclei):
    names = json.loads(nuclei.NAMES.read_text())
    assert [len(set(names[split])) for split in ('train', 'val')] == [200, 70]
    assert not set(names['train']) & set(names['val'])
