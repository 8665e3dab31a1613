"""Folders in formats that are to be converted: the error names a command, which converts them."""

import re
import runpy
import shlex
import shutil

import pytest
from other_formats import write_labelme, write_yolo

from mmcednet.own_data.data_folder import find_splits, measure
from mmcednet_cli import find_script


def get_message(folder):
    with pytest.raises(ValueError) as caught:
        find_splits(folder)
    return str(caught.value)


def write_split_yolo(shapes, folder):
    write_yolo(shapes, folder, True, '{}/images', '{}/labels')
    (folder / 'data.yaml').write_text('names: [disc, square, triangle, star]')


def write_flat_yolo(shapes, folder):
    write_yolo(shapes, folder, False, 'images/{}', 'labels/{}')
    (folder / 'classes.txt').write_text('disc\nsquare\ntriangle\nstar\n')


def write_one_file(shapes, folder):
    shutil.copytree(shapes / 'train', folder)
    shutil.copy(shapes / 'annotations' / 'train.json', folder / 'all.json')


@pytest.mark.parametrize(
    ('write', 'words', 'objects'),
    [
        (write_split_yolo, 'it has labels of YOLO: convert them with', True),
        (write_flat_yolo, 'it has labels of YOLO: convert them with', False),
        (write_labelme, 'it has annotations of LabelMe: convert them with', True),
        (write_one_file, 'all.json is of all images, split it with', True),
    ],
)
def test_the_named_command_converts_the_folder(shapes, tmp_path, write, words, objects):
    folder = tmp_path / 'my data'
    write(shapes, folder)
    message = get_message(folder)
    assert message.startswith(f"{folder} has no annotation file in COCO format with 'train'")
    assert words in message
    run_named_command(message)
    assert measure(find_splits(folder)['train']).has_masks == objects


@pytest.mark.parametrize('name', ['train.json', 'annotations/instances_train.json', 'val.json'])
def test_one_file_with_the_name_of_a_split(shapes, tmp_path, name):
    folder = tmp_path / 'my data'
    path, moved = folder / name, folder / 'all.json'
    shutil.copytree(shapes / 'train', folder / 'train')
    path.parent.mkdir(exist_ok=True)
    shutil.copy(shapes / 'annotations' / 'train.json', path)
    message = get_message(folder)
    assert f'if {path} is of all images, move it to {moved} and split it with' in message
    path.rename(moved)
    run_named_command(message)
    assert list(find_splits(folder)) == ['train', 'val']


def run_named_command(message):
    command, *args = shlex.split(re.search(r' with mmcednet (.*)', message)[1])
    assert runpy.run_path(str(find_script(command)))['main'](args) == 0


def test_pascal_voc(bccd):
    message = get_message(bccd)
    assert 'it has annotations of Pascal VOC: convert them with' in message
    run_named_command(message)
    assert measure(find_splits(bccd)['train']).num_images == 12


def test_other_folders(tmp_path):
    (tmp_path / 'notes.txt').write_text('5 images')
    (tmp_path / 'list.json').write_text('[]')
    (tmp_path / 'page.xml').write_text('<html/>')
    assert 'mmcednet voc-to-coco, yolo-to-coco or labelme-to-coco' in get_message(tmp_path)
