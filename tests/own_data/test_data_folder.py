"""Splits, images and measurements of folders in COCO's format."""

import json
import shutil

import numpy as np
import pytest

from mmcednet.own_data.data_folder import find_splits, measure

BOXES = [(10, 10, 20, 20), (5, 5, 40, 10), (0, 0, 64, 64), (3, 3, 8, 32)]


@pytest.fixture
def folder(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / 'data')


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ('train', 'val', 'ann_train', 'ann_val'),
    [
        ('train', 'val', 'annotations/train.json', 'annotations/val.json'),
        (
            'train2017',
            'val2017',
            'annotations/instances_train2017.json',
            'annotations/instances_val2017.json',
        ),
        ('train', 'valid', 'train/_annotations.coco.json', 'valid/_annotations.coco.json'),
        ('images/train', 'images/val', 'train.json', 'val.json'),
    ],
    ids=['shapes', 'coco', 'roboflow', 'images'],
)
def test_common_layouts_are_found(shapes, tmp_path, train, val, ann_train, ann_val):
    folder = tmp_path / 'data'
    for source, images, ann_file in (('train', train, ann_train), ('val', val, ann_val)):
        shutil.copytree(shapes / source, folder / images)
        (folder / ann_file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shapes / 'annotations' / f'{source}.json', folder / ann_file)
    (folder / 'notes.json').write_text('{"train": "no annotations"}')
    splits = find_splits(folder)
    assert list(splits) == ['train', 'val']
    assert (splits['train'].images, splits['val'].images) == (folder / train, folder / val)
    assert splits['train'].ann_file == folder / ann_train
    assert splits['val'].ann_file == folder / ann_val


def test_instances_are_preferred_and_a_test_split_is_found(folder):
    annotations = folder / 'annotations'
    for name in ('instances_train', 'captions_train', 'person_keypoints_train'):
        shutil.copy(annotations / 'train.json', annotations / f'{name}.json')
    (annotations / 'train.json').unlink()
    shutil.copy(annotations / 'val.json', annotations / 'test.json')
    splits = find_splits(folder)
    assert splits['train'].ann_file.name == 'instances_train.json'
    assert list(splits) == ['train', 'val', 'test']


def test_measurements_are_those_of_the_boxes(folder):
    def change(content):
        first = content['images'][0]
        content['annotations'] = [
            dict(id=index, image_id=first['id'], category_id=2, bbox=list(box), iscrowd=0)
            for index, box in enumerate(BOXES)
        ]
        content['annotations'].append(dict(content['annotations'][0], bbox=[0, 0, 1, 1], iscrowd=1))
        content['categories'] = [dict(id=1, name='things'), dict(id=2, name='cell')]

    edit(folder / 'annotations' / 'train.json', change)
    data = measure(find_splits(folder)['train'])
    areas = [width * height for _, _, width, height in BOXES]
    assert (data.num_images, data.num_objects, data.classes) == (6, len(BOXES), ('cell',))
    assert data.image_size == (64, 64)
    np.testing.assert_allclose(data.object_sizes, np.percentile(np.sqrt(areas), (5, 50, 95)))
    np.testing.assert_allclose(data.aspect_ratios, np.percentile([1, 1 / 4, 1, 4], (10, 90)))
    assert not data.has_masks


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda content: content.update(annotations=[]), 'train.json has no annotations'),
        (lambda content: content.update(images=[]), 'train.json has no images'),
        (lambda content: content.update(categories=[]), 'train.json has objects of category 1, which'),
        (lambda content: content['categories'][0].pop('name'), r"not of COCO's format: the name None"),
        (lambda content: content['images'][2].pop('width'), 'an image without width or height'),
        (
            lambda content: content['images'][2].update(file_name='gone.png'),
            r'1 images of .*train.json do not exist, the first is .*gone.png',
        ),
        (
            lambda content: content['images'][0].update(file_name='a.png'),
            'the image a.png of .* is in none',
        ),
    ],
    ids=['annotations', 'images', 'category', 'name', 'size', 'missing', 'first-missing'],
)
def test_wrong_annotations_are_reported(folder, change, message):
    edit(folder / 'annotations' / 'train.json', change)
    with pytest.raises(ValueError, match=message):
        measure(find_splits(folder)['train'])


def test_wrong_folders_are_reported(folder):
    annotations = folder / 'annotations'
    with pytest.raises(ValueError, match=r'folder .*nowhere does not exist'):
        find_splits(folder / 'nowhere')
    shutil.copy(annotations / 'train.json', folder / 'train_2.json')
    with pytest.raises(
        ValueError, match=r"several annotation files for 'train', keep one: .*train_2\.json"
    ):
        find_splits(folder)
    (folder / 'train_2.json').write_text('{')
    with pytest.raises(ValueError, match=r'train_2\.json is not valid JSON'):
        find_splits(folder)
    (folder / 'train_2.json').unlink()
    (annotations / 'val.json').unlink()
    with pytest.raises(ValueError, match="no annotation file in COCO format with 'val'"):
        find_splits(folder)
