"""Conversion of LabelMe's JSON files, against the data as drawn and pycocotools."""

import json
import shutil

import numpy as np
import pytest
from other_formats import compare, write_labelme

from mmcednet.data.conversion import build_coco, write_conversion
from mmcednet.data.labelme import convert_labelme


@pytest.fixture
def folder(shapes, tmp_path):
    """Polygons in 'train', rectangles in 'val'."""
    return write_labelme(shapes, tmp_path / 'data')


def convert(folder):
    conversion = convert_labelme(folder)
    return {
        split: build_coco(images, conversion.classes) for split, images in conversion.images.items()
    }


def first_file(folder):
    return min((folder / 'train').glob('*.json'))


def edit(path, **settings):
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def make_shape(points, kind='polygon', label='disc', group=None):
    return dict(label=label, points=points, group_id=group, shape_type=kind)


SQUARE = [[10, 10], [20, 10], [20, 20], [10, 20]]


def test_objects_are_those_that_were_drawn(shapes, folder):
    splits = convert(folder)
    compare(splits['train'], shapes, 'train', masks=True)
    compare(splits['val'], shapes, 'val', masks=False)


def test_images_elsewhere_and_paths_of_windows(shapes, folder):
    images = folder / 'pictures' / 'train'
    images.mkdir(parents=True)
    for path in (folder / 'train').glob('*.png'):
        path.rename(images / path.name)
        edit(
            path.with_suffix('.json'),
            imagePath=f'..\\pictures\\train\\{path.name}',
            imageHeight=None,
            imageWidth=None,
        )
    content = convert(folder)['train']
    compare(content, shapes, 'train', masks=True)
    assert all(image['file_name'].startswith('pictures/train/') for image in content['images'])


def test_without_folders_a_share_becomes_val(shapes, tmp_path):
    folder = write_labelme(shapes, tmp_path / 'data') / 'train'
    conversion = convert_labelme(folder.rename(tmp_path / 'flat'), val_share=0.5)
    assert {split: len(images) for split, images in conversion.images.items()} == dict(train=3, val=3)
    assert conversion.notes == ['there is no folder val: 3 of the 6 images, at random, are val']


def test_every_shape_is_written_joined_or_named(folder, capsys):
    path = first_file(folder)
    shapes = [
        make_shape(SQUARE),
        make_shape([[15, 15], [20, 15]], 'circle'),
        make_shape([[15, 15]], 'point'),
        make_shape([[1, 1], [5, 5]], 'polygon'),
        make_shape([[-9, -9], [-5, -9], [-5, -5]]),
        make_shape([[30, 30], [30, 30]], 'rectangle'),
        make_shape(SQUARE, label='__ignore__'),
        make_shape(SQUARE, label=''),
        make_shape(SQUARE, group=1),
        make_shape([[30, 30], [40, 30], [40, 40], [30, 40]], group=1),
    ]
    edit(path, shapes=shapes)
    shutil.copy(path.with_suffix('.png'), folder / 'train' / 'new.png')
    conversion = convert_labelme(folder)
    found = sum(image.found for images in conversion.images.values() for image in images)
    assert found == sum(len(json.loads(file.read_text())['shapes']) for file in folder.rglob('*.json'))
    write_conversion(conversion, folder / 'coco')
    shown = capsys.readouterr().out
    for number, reason in (
        (2, 'it is a circle, not a polygon or a rectangle'),
        (3, 'it is a point, not a polygon or a rectangle'),
        (4, 'a polygon has 3 points, not 2'),
        (5, 'it covers nothing of the image'),
        (6, 'it covers nothing of the image'),
        (7, 'this is not the name of a class'),
        (8, 'it has no label'),
    ):
        label = shapes[number - 1]['label']
        assert f'left out of {path}: shape {number} ({label}), as {reason}\n' in shown
    assert f'1 images have no JSON file, so that they are left out; the first is {folder}' in shown
    assert 'objects are rectangles, which have no masks' in shown
    assert shown.endswith(
        f'{found} objects read: {found - 8} written, 1 joined to others as their parts, 7 left out\n'
    )
    content = json.loads((folder / 'coco' / 'train.json').read_text())
    first = [item for item in content['annotations'] if item['image_id'] == 1]
    assert [item['area'] for item in first] == [100, 200]
    assert [item['bbox'] for item in first] == [[10, 10, 10, 10], [10, 10, 30, 30]]
    assert [len(item['segmentation']) for item in first] == [1, 2]


def test_polygons_beyond_the_border(folder):
    from pycocotools.coco import COCO

    path = first_file(folder)
    edit(path, shapes=[make_shape([[-10, -10], [20, -10], [20, 30], [-10, 30]])])
    content = convert(folder)['train']
    item = content['annotations'][0]
    assert (item['bbox'], item['area']) == ([0, 0, 20, 30], 600)
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    expected = np.zeros((64, 64), np.uint8)
    expected[:30, :20] = 1
    np.testing.assert_array_equal(coco.annToMask(item), expected)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda path: path.write_text('{'), r'{name} is not valid JSON'),
        (
            lambda path: edit(path, imageWidth=32),
            r'{name} is of an image of 32x64 px, but .* has 64x64',
        ),
        (lambda path: path.with_suffix('.png').unlink(), r'the image .*png is not in'),
        (lambda path: path.with_suffix('.png').write_text('text'), 'png cannot be read'),
        (
            lambda path: edit(path, shapes=[dict(label='disc')]),
            r'{name}: shape 1 must have points, each of two numbers',
        ),
        (
            lambda path: edit(path, shapes=[make_shape([[1, 2], [3, None], [4, 5]])]),
            r'{name}: shape 1 must have points, each of two numbers',
        ),
        (lambda path: edit(path, imageWidth='wide'), r'{name} states an image of the size'),
        (
            lambda path: shutil.copy(path, path.parent.parent / 'alone.json'),
            r'the image 00000\.png is not in|in no folder of a split',
        ),
    ],
    ids=['json', 'size', 'no-image', 'no-picture', 'no-points', 'no-number', 'no-size', 'no-split'],
)
def test_errors_name_the_file(folder, change, message):
    path = first_file(folder)
    change(path)
    with pytest.raises(ValueError, match=message.format(name=path)):
        convert_labelme(folder)


def test_folders_without_such_files_are_reported(shapes, tmp_path):
    with pytest.raises(ValueError, match=f'the folder {tmp_path / "gone"} does not exist'):
        convert_labelme(tmp_path / 'gone')
    with pytest.raises(ValueError, match=f'{shapes} has no JSON files of LabelMe'):
        convert_labelme(shapes)
