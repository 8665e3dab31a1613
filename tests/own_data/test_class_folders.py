"""Folders of images per class."""

import shutil

import pytest
from mmengine.config import Config

from mmcednet.images import IMAGE_SUFFIXES
from mmcednet.own_data.class_folders import find_class_folders
from mmcednet.own_data.image_sizes import measure_median_size

CLASSES = ['disc', 'square', 'star', 'triangle']


def test_classes_are_found_and_images_measured(single_shapes):
    (single_shapes / 'val').rename(single_shapes / 'validation')
    below = single_shapes / 'train' / 'star' / 'images'
    below.mkdir()
    for path in (single_shapes / 'train' / 'star').glob('*.png'):
        path.rename(below / path.name)
    splits = find_class_folders(single_shapes)
    assert list(splits) == ['train', 'val']
    assert list(splits['train'].images) == CLASSES
    assert [len(files) for files in splits['train'].images.values()] == [2, 2, 2, 2]
    assert splits['val'].folder == single_shapes / 'validation'
    assert measure_median_size(splits['train'].files) == (64, 64)
    shutil.copytree(splits['val'].folder, single_shapes / 'test')
    assert list(find_class_folders(single_shapes)) == ['train', 'val', 'test']


def test_wrong_folders_are_reported(single_shapes):
    train, val = single_shapes / 'train', single_shapes / 'val'
    with pytest.raises(ValueError, match=r'the folder .*nowhere does not exist'):
        find_class_folders(single_shapes / 'nowhere')
    shutil.rmtree(val / 'star')
    with pytest.raises(ValueError, match=f"{val} and {train} must have .* 'star' is in only one"):
        find_class_folders(single_shapes)
    (val / 'star').mkdir()
    with pytest.raises(ValueError, match=f'the class folder {val}/star has no images'):
        find_class_folders(single_shapes)
    shutil.rmtree(val)
    with pytest.raises(ValueError, match="has no images for 'val'; expected val/CLASS/IMAGE"):
        find_class_folders(single_shapes)
    shutil.copytree(train, val)
    for name in CLASSES[1:]:
        shutil.rmtree(train / name)
    with pytest.raises(ValueError, match=f'{train} must have a folder for each of 2 classes .* has 1'):
        find_class_folders(single_shapes)


def test_images_of_every_suffix_are_found(single_shapes, root):
    paths = sorted((single_shapes / 'train' / 'star').glob('*.png'))
    for path, suffix in zip(paths, ('.webp', '.TIFF'), strict=True):
        path.rename(path.with_suffix(suffix))
    assert len(find_class_folders(single_shapes)['train'].files) == 8
    base = Config.fromfile(root / 'configs' / '_base_' / 'datasets' / 'custom_classification.py')
    assert tuple(base.extensions) == IMAGE_SUFFIXES  # of what is trained on


def test_what_would_be_left_out_is_reported(single_shapes):
    train = single_shapes / 'train'
    (train / '.ipynb_checkpoints').mkdir()
    with pytest.raises(ValueError, match=r'\.ipynb_checkpoints would be a class; remove this hidden'):
        find_class_folders(single_shapes)
    (train / '.ipynb_checkpoints').rmdir()
    image = min((train / 'star').iterdir())
    image.rename(train / image.name)
    with pytest.raises(ValueError, match=rf'must be in the folder of its class, {train}/CLASS/'):
        find_class_folders(single_shapes)


def test_a_file_that_is_no_image_is_reported(single_shapes):
    (single_shapes / 'train' / 'disc' / 'broken.png').write_text('no image')
    with pytest.raises(ValueError, match=r'.*broken\.png cannot be read as an image'):
        measure_median_size(find_class_folders(single_shapes)['train'].files)
