"""Errors of annotation files are listed before a run starts; what mmdet leaves out is logged."""

import json
import math

import pytest
from broken_images import BOMB, change_png_header
from mmengine.config import Config
from PIL import Image

from mmcednet.checks import check_data
from mmcednet.checks.annotations import find_errors
from mmcednet.checks.objects import Use


@pytest.fixture
def content(shapes):
    return json.loads((shapes / 'annotations' / 'train.json').read_text())


@pytest.fixture
def check(root, shapes, tmp_path, log):
    """Check changed annotations of the generated images; returns the warnings."""

    def run(content, folder=shapes / 'train'):
        cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
        dataset = cfg.train_dataloader.dataset
        path = tmp_path / 'changed.json'
        path.write_text(json.dumps(content))
        dataset.update(data_root='', ann_file=str(path), data_prefix=dict(img=f'{folder}/'))
        log.clear()
        check_data(cfg, 'train')
        return [record.message for record in log.records]

    return run


def test_generated_images_have_neither(check, content):
    assert check(content) == []


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(bbox=[1, 2, math.nan, 4]), r'its bbox \[1, 2, nan, 4\] must be four finite numbers'),
        (dict(bbox=[1, 2, 3]), r'its bbox \[1, 2, 3\] must be four finite numbers'),
        (dict(bbox=None), 'its bbox None must be four finite numbers'),
        (dict(bbox=['a', 2, 3, 4]), r"its bbox \['a', 2, 3, 4\] must be four finite numbers"),
        (dict(bbox=[5, 5, -2, 4]), r'its bbox \[5, 5, -2, 4\] has a negative width or height'),
        (
            dict(segmentation=dict(size=[32, 64], counts=[2048]), iscrowd=1),
            r'its mask has the size \[32, 64\], the image \[64, 64\]',
        ),
        (
            dict(segmentation=dict(size=[64, 64], counts=[9, -5, 4092]), iscrowd=1),
            r'the counts of its mask are not run lengths of an image of the size \[64, 64\]',
        ),
        (dict(segmentation=[1, 2, 3, 4, 5, 6]), 'its segmentation must be a list of polygons'),
        (dict(bbox=[1, 2, 10**400, 4]), 'its bbox .* must be four finite numbers'),
        (dict(area='12'), "its area '12' must be a finite number"),
    ],
)
def test_errors_of_an_annotation(check, content, changes, message):
    item = content['annotations'][2]
    item.update(changes)
    with pytest.raises(ValueError, match=rf'annotation {item["id"]}: {message}'):
        check(content)


@pytest.mark.parametrize('mask', [5, [1, 2], [None]])
@pytest.mark.parametrize('image_id', [1, 99])
def test_masks_that_are_none(content, shapes, mask, image_id):
    """Also of objects that are evaluated, and of those without an image."""
    content['annotations'][2].update(segmentation=mask, image_id=image_id)
    use = Use(('disc',), metrics=frozenset({'bbox', 'segm'}))
    errors = list(find_errors(content, shapes / 'train', use))
    number = content['annotations'][2]['id']
    assert errors[0].startswith(f'annotation {number}: its segmentation')


@pytest.mark.parametrize('key', ['image_id', 'category_id', 'area'])
def test_missing_key(check, content, key):
    item = content['annotations'][2]
    del item[key]
    with pytest.raises(ValueError, match=f'annotation {item["id"]}: it has no {key}'):
        check(content)


def test_large_ids(check, content):
    """Hashes, or times in ms."""
    for index, item in enumerate(content['annotations']):
        item['id'] = 2**60 + index
    check(content)


@pytest.mark.parametrize('kind', ['image', 'annotation'])
def test_ids_used_twice(check, content, kind):
    items = content[f'{kind}s']
    items[1]['id'] = items[0]['id']
    with pytest.raises(ValueError, match=f'{kind} {items[0]["id"]}: 2 {kind}s have this id'):
        check(content)


def test_file_names_used_twice(check, content):
    content['images'].append(dict(content['images'][0], id=99))
    name = content['images'][0]['file_name']
    with pytest.raises(ValueError, match=f"has 1 error:\n  2 images have the file_name '{name}'"):
        check(content)


@pytest.mark.parametrize('kind', ['images', 'annotations'])
def test_missing_id(check, content, kind):
    del content[kind][1]['id']
    with pytest.raises(ValueError, match=f'1 {kind} have no id'):
        check(content)


def test_list_of_errors_has_twenty_lines(check, content):
    for item in content['annotations']:
        item['bbox'] = [1, 1, -1, 1]
    items = content['annotations'] * 5
    content['annotations'] = [dict(item, id=index) for index, item in enumerate(items)]
    assert len(items) > 20
    with pytest.raises(ValueError, match=f'has {len(items)} errors') as error:
        check(content)
    lines = str(error.value).splitlines()
    assert len(lines) == 21  # with the first
    assert lines[-1].strip() == '...'


def test_image_of_another_size(check, content):
    image = content['images'][1]
    image['width'] = 80
    with pytest.raises(ValueError, match='has 64x64 px, but the file says 80x64'):
        check(content)


def test_rotated_image(check, content, shapes, tmp_path):
    """mmcv turns it as its EXIF data say, so that boxes of the stored pixels would be wrong."""
    image = content['images'][0]
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(shapes / 'train' / image['file_name']).resize((64, 32))
    picture.save(tmp_path / 'rotated.jpg', exif=exif)
    content.update(images=[dict(image, file_name='rotated.jpg', height=32)])
    content['annotations'] = [dict(content['annotations'][0], bbox=[1, 1, 9, 9], image_id=image['id'])]
    reason = 'has 32x64 px, as its EXIF orientation says that it is rotated, but the file says 64x32'
    with pytest.raises(ValueError, match=reason):
        check(content, tmp_path)
    content['images'][0].update(width=32, height=64)
    check(content, tmp_path)


def test_file_that_is_not_an_image(check, content, tmp_path):
    (tmp_path / 'bad.png').write_bytes(b'not an image')
    content.update(images=[dict(content['images'][0], file_name='bad.png')])
    with pytest.raises(ValueError, match=r'bad\.png cannot be read as an image'):
        check(content, tmp_path)


@pytest.mark.parametrize('size', [(1, 40), (40, 1), (1300, 6)])
def test_image_that_cannot_be_resized(check, content, tmp_path, size):
    Image.new('RGB', size).save(tmp_path / 'thin.png')
    image = dict(content['images'][0], file_name='thin.png', width=size[0], height=size[1])
    content.update(images=[image])
    with pytest.raises(ValueError, match=rf'thin\.png has {size[0]}x{size[1]} px, which cannot be'):
        check(content, tmp_path)


def test_image_of_too_many_pixels(check, content, tmp_path):
    (tmp_path / 'bomb.png').write_bytes(change_png_header(BOMB, BOMB)[1])
    content.update(images=[dict(content['images'][0], file_name='bomb.png')])
    with pytest.raises(ValueError, match=r'bomb\.png has more than 178,956,970 pixels'):
        check(content, tmp_path)


@pytest.mark.parametrize(
    ('kind', 'changes', 'message'),
    [
        ('categories', dict(name='disc'), "2 categories have the name 'disc'"),
        ('categories', dict(id='9'), 'some ids of its categories are strings and others are not'),
        ('images', dict(id=[1]), r'the id \[1\] in its images must be a number or a string'),
        ('images', dict(file_name=3), 'the file_name 3 in its images must be a string'),
        ('annotations', dict(image_id={}), 'the image_id {} in its annotations must be a number'),
    ],
)
def test_wrong_types(check, content, kind, changes, message):
    content[kind][1].update(changes)
    with pytest.raises(ValueError, match=f"changed.json is not of COCO's format: {message}"):
        check(content)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(bbox=[5, 5, 0, 4]), 'have boxes of less than 1 px, and are left out'),
        (dict(bbox=[65, 5, 4, 4]), 'have boxes outside of their images, and are left out'),
        (dict(bbox=[50, 5, 20, 4]), 'have boxes that leave their images, and are clipped'),
        (dict(category_id=99), 'have a category_id that is not in the file, and are left out'),
        (dict(image_id=99), 'have an image_id that is not in the file, and are left out'),
        (dict(segmentation=[[1, 1, 2, 2]]), 'have polygons of less than three points'),
    ],
)
def test_warnings(check, content, changes, message):
    item = content['annotations'][2]
    item.update(changes)
    (warning,) = check(content)
    assert f'1 annotations {message}' in warning
    assert warning.endswith(f': {item["id"]}')


def test_categories_in_another_order(check, content):
    """mmdet numbers the classes in the order of the file's categories."""
    content['categories'].reverse()
    with pytest.raises(
        ValueError, match=r"category 'star' stands where the config's classes have 'disc'"
    ):
        check(content)


def test_images_in_two_splits(root, shapes, tmp_path, content, log):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    path = tmp_path / 'val.json'
    path.write_text(json.dumps(content))
    train = dict(data_root=str(shapes), data_prefix=dict(img='train/'))
    cfg.train_dataloader.dataset.update(train)
    cfg.val_dataloader.dataset.update(train, ann_file=str(path))
    cfg.val_evaluator.ann_file = str(path)
    check_data(cfg, 'train', 'val')
    (message,) = [record.message for record in log.records]
    assert message.startswith('6 images are in the training and in the val data')


def test_a_hundred_thousand_annotations(check, content):
    """Each is looked at; how long it takes is in the log of the durations."""
    items = content['annotations'] * (100_000 // len(content['annotations']) + 1)
    content['annotations'] = [dict(item, id=index) for index, item in enumerate(items[:100_000])]
    content['annotations'][-1]['bbox'] = [1, 1, math.inf, 1]
    with pytest.raises(ValueError, match='has 1 error:\n  annotation 99999'):
        check(content)
