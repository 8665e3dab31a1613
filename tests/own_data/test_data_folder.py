"""Splits, images and measurements of folders in COCO's format."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mmcednet.own_data.choices import choose_base_size
from mmcednet.own_data.data_folder import find_splits, find_untrained, measure

BOXES = [(10, 10, 20, 20), (5, 5, 40, 10), (0, 0, 64, 64), (3, 3, 8, 32)]


@pytest.fixture
def folder(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / 'data')


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_only_words_of_names_are_splits(folder):
    """'latest' is no test, 'interval' no validation."""
    annotations = folder / 'annotations'
    for name in ('instances_latest', 'interval'):
        shutil.copy(annotations / 'train.json', annotations / f'{name}.json')
    assert {split: found.ann_file.name for split, found in find_splits(folder).items()} == {
        'train': 'train.json',
        'val': 'val.json',
    }


def test_annotations_that_are_no_list(folder):
    (folder / 'annotations' / 'test.json').write_text(
        '{"images": [], "categories": [], "annotations": null}'
    )
    assert list(find_splits(folder)) == ['train', 'val']


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
        ('train', 'validation', 'my_trainset.json', 'my_validationset.json'),
    ],
    ids=['shapes', 'coco', 'roboflow', 'images', 'sets'],
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


def test_a_test_split_without_objects(folder):
    path = folder / 'annotations' / 'test.json'
    shutil.copy(folder / 'annotations' / 'val.json', path)
    edit(path, lambda content: content.update(annotations=[]))
    text = rf'{path} of the test split .*; remove it, or rename it to test\.json\.unused$'
    with pytest.raises(ValueError, match=text):
        find_splits(folder)
    path.rename(f'{path}.unused')
    assert list(find_splits(folder)) == ['train', 'val']


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
    sizes = np.percentile(np.sqrt(areas), (5, 50, 95))
    np.testing.assert_allclose(data.find_object_sizes((64, 64)), sizes)
    np.testing.assert_allclose(data.find_object_sizes((128, 128)), 2 * sizes)
    np.testing.assert_allclose(data.aspect_ratios, np.percentile([1, 1 / 4, 1, 4], (10, 90)))
    assert not data.has_masks


def test_objects_are_measured_in_their_own_resized_images(tmp_path):
    """A square of a quarter of each image's width, in images of 80 to 1280 px, wide and high."""
    for split in ('train', 'val'):
        images, annotations = [], []
        for number, width in enumerate((80, 160, 320, 1280), 1):
            size = (width, width * 3 // 4)
            size = size if number % 2 else size[::-1]
            image = Image.new('RGB', size)
            image.paste((200, 0, 0), (0, 0, width // 4, width // 4))
            image.save(tmp_path / f'{split}_{number}.png')
            images.append(
                dict(id=number, file_name=f'{split}_{number}.png', width=size[0], height=size[1])
            )
            box = [0, 0, width // 4, width // 4]
            annotations.append(dict(id=number, image_id=number, category_id=1, bbox=box))
        content = dict(images=images, annotations=annotations, categories=[dict(id=1, name='square')])
        (tmp_path / f'{split}.json').write_text(json.dumps(content))
    data = measure(find_splits(tmp_path)['train'])
    # each image becomes 320x240 or 240x320, each square 80x80
    np.testing.assert_allclose(data.find_object_sizes((320, 240)), 80)
    np.testing.assert_allclose(data.find_object_sizes((240, 320)), 80)
    assert choose_base_size(data, (320, 240), 16, (1, 8)).value == 80 / 16


def test_classes_without_training_objects(folder):
    for name in ('train', 'val'):
        edit(
            folder / 'annotations' / f'{name}.json',
            lambda content: content['categories'].append(dict(id=90, name='hexagon')),
        )
    splits = find_splits(folder)
    names = measure(splits['train']).classes
    assert 'hexagon' not in names and find_untrained(splits, names) == {}

    def change(content):
        for item in content['annotations'][:2]:
            item['category_id'] = 90

    val = folder / 'annotations' / 'val.json'
    edit(val, change)
    assert find_untrained(find_splits(folder), names) == {'hexagon': f'2 in {val}'}


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
            r'the image .*gone.png of .*train.json does not exist',
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
