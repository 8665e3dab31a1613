"""Conversion of YOLO's text files, against the data as drawn and pycocotools."""

import shutil

import cv2
import numpy as np
import pytest
from other_formats import compare, read_shapes, write_yolo

from mmcednet.data.conversion import build_coco, write_conversion
from mmcednet.data.yolo import convert_yolo

LAYOUTS = {
    'by kind': ('images/{}', 'labels/{}'),
    'by split': ('{}/images', '{}/labels'),
    'together': ('{}', '{}'),
}


def get_names(shapes):
    return [category['name'] for category in read_shapes(shapes, 'train')['categories']]


def write_yaml(text):
    return lambda folder: (folder / 'data.yaml').write_text(text)


@pytest.fixture
def folder(shapes, tmp_path):
    """Boxes, in the usual folders, with ``classes.txt``."""
    folder = write_yolo(shapes, tmp_path / 'data', False, *LAYOUTS['by kind'])
    (folder / 'classes.txt').write_text('\n'.join(get_names(shapes)))
    return folder


def convert(folder, **settings):
    conversion = convert_yolo(folder, **settings)
    return {
        split: build_coco(images, conversion.classes) for split, images in conversion.images.items()
    }


def first_labels(folder):
    return min((folder / 'labels' / 'train').iterdir())


@pytest.mark.parametrize('polygons', [False, True], ids=['boxes', 'polygons'])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_objects_are_those_that_were_drawn(shapes, tmp_path, layout, polygons):
    folder = write_yolo(shapes, tmp_path / 'data', polygons, *LAYOUTS[layout])
    names = get_names(shapes)
    (folder / 'data.yaml').write_text(f'nc: {len(names)}\nnames: {names}\n')
    for split, content in convert(folder).items():
        compare(content, shapes, split, masks=polygons)
        assert all((folder / image['file_name']).is_file() for image in content['images'])


def test_names_are_those_that_are_written(folder):
    """Not True, 8 and 90, as YAML reads these."""
    for text in ('[on, 010, 1:30, null]', '{0: on, 1: 010, 2: 1:30, 3: "null"}'):
        (folder / 'data.yaml').write_text(f'names: {text}\nnc: 4\n')
        assert convert_yolo(folder).classes == ['on', '010', '1:30', 'null']


def test_settings_of_roboflow_and_names_with_numbers(shapes, tmp_path):
    folder = write_yolo(shapes, tmp_path / 'data', False, *LAYOUTS['by split'])
    (folder / 'val').rename(folder / 'valid')
    names = dict(enumerate(get_names(shapes)))
    (folder / 'data.yaml').write_text(f'train: ../train/images\nval: ../valid/images\nnames: {names}\n')
    for split, content in convert(folder).items():
        compare(content, shapes, split, masks=False)


def test_texts_of_windows(shapes, folder):
    """With a byte order mark and other line ends; other encodings are refused."""
    names = get_names(shapes)
    (folder / 'classes.txt').write_bytes('\r\n'.join(names).encode('utf-8-sig'))
    assert convert_yolo(folder).classes == names
    (folder / 'classes.txt').write_bytes('Zäune'.encode('latin-1'))
    with pytest.raises(ValueError, match=r'classes\.txt must be a text file in UTF-8'):
        convert_yolo(folder)


def test_images_of_no_split_are_named(folder):
    image = min((folder / 'images' / 'train').iterdir())
    shutil.copy(image, folder / 'images' / 'loose.png')
    (note,) = convert_yolo(folder).notes
    assert note == f'1 images are left out, as they are of no split: {folder}/images/loose.png, ...'


def test_lists_of_images(shapes, folder):
    images = sorted((folder / 'images').rglob('*.png'))
    for split, part in (('train', images[:2]), ('val', images[2:])):
        lines = [f'./{path.relative_to(folder)}' for path in part]
        (folder / f'{split}.txt').write_text('\n'.join(lines))
    (folder / 'dataset.yaml').write_text(
        f'path: {folder}\ntrain: train.txt\nval: val.txt\nnames: {get_names(shapes)}\n'
    )
    splits = convert(folder)
    assert [image['file_name'] for image in splits['train']['images']] == [
        str(path.relative_to(folder)) for path in images[:2]
    ]
    assert len(splits['val']['images']) == len(images) - 2


def test_without_splits_a_share_becomes_val(shapes, folder):
    for kind in ('images', 'labels'):
        for path in sorted((folder / kind).rglob('*.*')):
            # both splits have the same names of images
            path.rename(folder / kind / f'{path.parent.name}_{path.name}')
        for split in ('train', 'val'):
            (folder / kind / split).rmdir()
    conversion = convert_yolo(folder, val_share=1 / 3)
    assert {split: len(images) for split, images in conversion.images.items()} == dict(train=6, val=3)
    assert conversion.notes == ['there is no split val: 3 of the 9 images, at random, are val']
    names = [image.file_name for images in conversion.images.values() for image in images]
    assert len(set(names)) == 9
    assert sum(image.found for images in conversion.images.values() for image in images) == sum(
        len(path.read_text().splitlines()) for path in (folder / 'labels').glob('*.txt')
    )


def test_every_line_is_written_or_named(folder, capsys):
    labels = first_labels(folder)
    before = len(labels.read_text().splitlines())
    labels.write_text(f'{labels.read_text()}0 1.5 0.5 0.2 0.2\n\n0 0.5 0.5 0 0.1\n')
    second = sorted((folder / 'labels' / 'train').iterdir())[1]
    lost = second.with_name('of_no_image.txt')
    second.rename(lost)
    conversion = convert_yolo(folder)
    written = sum(len(image.items) for images in conversion.images.values() for image in images)
    lines = {path: len(path.read_text().split('\n')) - 1 for path in (folder / 'labels').rglob('*.txt')}
    capsys.readouterr()
    write_conversion(conversion, folder / 'coco')
    shown = capsys.readouterr().out
    assert f'left out: {labels}, line {before + 1}, as it covers nothing' in shown
    assert f'left out: {labels}, line {before + 3}, as it covers nothing' in shown
    assert f'{lost} is left out with its {lines[lost]} lines: it has no image' in shown
    assert '1 images have no text file' in shown
    assert shown.endswith(f'{written + 2} objects read: {written} written, 2 left out\n')
    assert sum(lines.values()) - 1 == written + 2 + lines[lost]  # one line is empty


def test_boxes_are_cut_at_the_border_and_images_turned_by_exif_are_as_loaded(folder):
    from PIL import Image

    image = folder / 'images' / 'train' / f'{first_labels(folder).stem}.png'
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = Image.fromarray(np.zeros((40, 80, 3), np.uint8))
    image.unlink()
    pixels.save(image.with_suffix('.jpg'), exif=exif)
    first_labels(folder).write_text('1 0.0 0.5 0.5 0.5\n')
    content = convert(folder)['train']
    height, width = cv2.imread(str(image.with_suffix('.jpg'))).shape[:2]
    assert (
        (content['images'][0]['width'], content['images'][0]['height']) == (width, height) == (40, 80)
    )
    assert content['annotations'][0]['bbox'] == [0, 20, 10, 40]


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('9 0.5 0.5 0.1 0.1', 'line 1: the class 9 is not one of the 4 that have a name, from 0 on'),
        ('0.5 0.5 0.5 0.1 0.1', 'line 1: the class 0.5 is not one of'),
        ('0 0.5 0.5 0.1', 'line 1 has 3 numbers after the class; a box has 4'),
        ('0 0.5 0.5 0.1 0.1 0.9', 'line 1 has 5 numbers after the class; a box has 4'),
        ('0 20 30 10 10', 'line 1: .* is not in fractions'),
        ('0 nan 0.5 0.1 0.1', 'line 1: .* has a number that is not finite'),
        ('disc 0.5 0.5 0.1 0.1', "line 1: 'disc 0.5 .* must be numbers, of which the first is a class"),
    ],
)
def test_wrong_lines_are_reported(folder, line, message):
    path = first_labels(folder)
    path.write_text(line)
    with pytest.raises(ValueError, match=f'{path}, {message}'):
        convert_yolo(folder)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda folder: (folder / 'classes.txt').unlink(), 'has no names of classes: write them into'),
        (
            lambda folder: (folder / 'data.yaml').write_text('names: [a'),
            r'data\.yaml is not valid YAML',
        ),
        (lambda folder: (folder / 'data.yaml').write_text('names: [a, a]'), "name 'a' is that of two"),
        (lambda folder: (folder / 'data.yaml').write_text('names: {1: a}'), 'must be numbered from 0'),
        (
            lambda folder: (folder / 'data.yaml').write_text('train: gone\nnames: [a]'),
            "images of 'train' are in gone, which exists neither",
        ),
        (
            lambda folder: (folder / 'data.yaml').write_text('kpt_shape: [17, 3]\nnames: [a]'),
            'is of keypoints',
        ),
        (
            lambda folder: (folder / 'data.yaml').write_text(
                'train: images/train\nval: images/train\nnames: [a, b, c, d]'
            ),
            "is in both 'train' and 'val'",
        ),
        (write_yaml('names: {0: a, x: b}'), "must be numbered from 0 without a gap, not .'0', 'x'"),
        (write_yaml('names: [a, [b]]'), 'names must be a list of the classes, not'),
        (write_yaml('names: red'), "data.yaml: names must be a list of the classes, not 'red'"),
        (write_yaml('names: 3'), "names must be a list of the classes, not '3'"),
        (write_yaml('train: 3\nnames: [a]'), 'train must be the path of a folder or a list, not 3'),
        (write_yaml('nc: 3\nnames: [a, b]'), 'nc is 3, but there are 2 names'),
        (
            lambda folder: (folder / 'classes.txt').write_text('a\n\nb\nc\n'),
            r'classes\.txt: line 2 must be the name of a class, but is empty',
        ),
        (
            lambda folder: (
                shutil.copytree(folder / 'images', folder.parent / 'images'),
                write_yaml('train: ../images/train\nnames: [a, b, c, d]')(folder),
            ),
            r'in \.\./images/train, which may be .* or .*; write the path of one',
        ),
        (
            lambda folder: shutil.rmtree(folder / 'labels'),
            'no image has a text file; the first would be',
        ),
        (lambda folder: shutil.rmtree(folder / 'images'), 'no images'),
        (
            lambda folder: shutil.copy(
                first_labels(folder), folder / 'images' / 'train' / f'{first_labels(folder).stem}.jpg'
            ),
            'would be that of both|cannot be read',
        ),
    ],
    ids=[
        *('no-names', 'yaml', 'same-name', 'numbers', 'no-folder', 'keypoints', 'both'),
        *(
            'keys',
            'nested',
            'names',
            'one-number',
            'path',
            'nc',
            'empty-line',
            'two-places',
            'no-labels',
            'no-images',
        ),
        'two-images',
    ],
)
def test_wrong_folders_are_reported(folder, change, message):
    change(folder)
    with pytest.raises(ValueError, match=message):
        convert_yolo(folder)
