"""Images and label maps in a folder."""

import shutil

import cv2
import numpy as np
import pytest

from mmcednet.own_data.image_sizes import measure_median_size
from mmcednet.own_data.label_maps import find_label_maps, find_values_of


@pytest.fixture
def folder(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / 'data')


def test_label_maps_are_found_and_measured(folder, shapes):
    splits = find_label_maps(folder)
    assert (splits['train'].images, splits['train'].labels) == (
        folder / 'train',
        folder / 'labels/train',
    )
    assert splits['val'].suffix == '.png' and len(splits['val'].names) == 3
    path = folder / 'labels' / 'train' / f'{splits["train"].names[0]}.png'
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    labels[0, :2] = 7, 255
    cv2.imwrite(str(path), labels)
    found = find_values_of(splits['train'])
    assert set(found) == {0, 1, 2, 3, 4, 7, 255} and found[7] == path
    assert measure_median_size(splits['train'].files) == (64, 64)


def test_layout_of_mmseg(shapes, tmp_path):
    for split in ('train', 'val'):
        shutil.copytree(shapes / split, tmp_path / 'img_dir' / split)
        shutil.copytree(shapes / 'labels' / split, tmp_path / 'ann_dir' / split)
    assert find_label_maps(tmp_path)['val'].labels == tmp_path / 'ann_dir' / 'val'


def test_wrong_folders_are_reported(folder):
    labels = folder / 'labels' / 'train'
    first = sorted(labels.iterdir())[0]
    cv2.imwrite(str(first), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=rf'the label map {first} has the shape \(64, 64, 3\)'):
        find_values_of(find_label_maps(folder)['train'])
    first.unlink()
    with pytest.raises(ValueError, match=f'1 images of .* have no label map, the first is {first}'):
        find_label_maps(folder)
    shutil.copy(folder / 'train' / first.name, folder / 'train' / 'other.jpg')
    with pytest.raises(ValueError, match='must have one suffix'):
        find_label_maps(folder)
    shutil.rmtree(labels)
    with pytest.raises(
        ValueError, match=r"no label maps for 'train'; expected one of: annotations/train"
    ):
        find_label_maps(folder)
    shutil.rmtree(folder / 'val')
    (folder / 'images' / 'val').mkdir(parents=True)
    shutil.copytree(folder / 'labels' / 'val', labels)
    shutil.rmtree(folder / 'train')
    (folder / 'train').mkdir()
    with pytest.raises(ValueError, match='train has no images'):
        find_label_maps(folder)


def test_test_split_is_optional(folder):
    (folder / 'test').mkdir()  # images without label maps
    assert set(find_label_maps(folder)) == {'train', 'val'}
    shutil.copytree(folder / 'labels' / 'val', folder / 'labels' / 'test')
    shutil.copytree(folder / 'val', folder / 'test', dirs_exist_ok=True)
    assert find_label_maps(folder)['test'].labels == folder / 'labels' / 'test'
