"""Tiny ImageNet's folders, as mmpretrain's dataset reads them with the converter's labels."""

import shutil

import pytest
from mmpretrain.datasets import CustomDataset

from mmcednet.data.tiny_imagenet import write_val_labels


@pytest.fixture
def folder(shapes, tmp_path):
    """The layout of Tiny ImageNet: two classes of two images each, and three validation images."""
    images = sorted((shapes / 'train').iterdir())
    for wnid in ('n02', 'n01'):
        target = tmp_path / 'train' / wnid / 'images'
        target.mkdir(parents=True)
        (target.parent / f'{wnid}_boxes.txt').write_text('')
        for index in range(2):
            shutil.copy(images[index], target / f'{wnid}_{index}.JPEG')
    (tmp_path / 'val' / 'images').mkdir(parents=True)
    lines = []
    for index, wnid in enumerate(('n02', 'n01', 'n02')):
        shutil.copy(images[index], tmp_path / 'val' / 'images' / f'val_{index}.JPEG')
        lines.append(f'val_{index}.JPEG\t{wnid}\t0\t1\t30\t31\n')
    (tmp_path / 'val' / 'val_annotations.txt').write_text(''.join(lines))
    return tmp_path


def test_both_splits_have_the_same_labels(folder):
    assert write_val_labels(folder) == folder / 'val.txt'
    train = CustomDataset(data_root=str(folder), data_prefix='train')
    val = CustomDataset(data_root=str(folder), data_prefix='val/images', ann_file='val.txt')
    assert train.CLASSES == ('n01', 'n02')
    assert train.get_gt_labels().tolist() == [0, 0, 1, 1]
    assert val.get_gt_labels().tolist() == [1, 0, 1]
    assert val.get_data_info(2)['img_path'].endswith('val/images/val_2.JPEG')


def test_wrong_folders_are_reported(folder):
    annotations = folder / 'val' / 'val_annotations.txt'
    annotations.write_text('val_0.JPEG\tn07\t0\t0\t1\t1\n')
    with pytest.raises(ValueError, match=r'val_0\.JPEG of class n07, which has no folder in .*train'):
        write_val_labels(folder)
    assert not (folder / 'val.txt').exists()
    annotations.unlink()
    with pytest.raises(ValueError, match=r'val_annotations\.txt does not exist; .* Tiny ImageNet'):
        write_val_labels(folder)


def test_lines_of_the_annotations(folder):
    """Blank ones count for nothing but the numbers of the others."""
    annotations = folder / 'val' / 'val_annotations.txt'
    text = annotations.read_text()
    annotations.write_text(f'\n{text}  \n\n')
    assert write_val_labels(folder).read_text() == 'val_0.JPEG 1\nval_1.JPEG 0\nval_2.JPEG 1\n'
    annotations.write_text(f'\n{text}val_3.JPEG n01\n')
    with pytest.raises(ValueError) as caught:
        write_val_labels(folder)
    assert str(caught.value) == (
        f"{annotations}, line 5: 'val_3.JPEG n01' must be an image and its class, with a tab between"
    )


def test_missing_images_are_reported(folder):
    images, annotations = folder / 'val' / 'images', folder / 'val' / 'val_annotations.txt'
    for index in (1, 2):
        (images / f'val_{index}.JPEG').unlink()
    with pytest.raises(ValueError) as caught:
        write_val_labels(folder)
    assert str(caught.value) == (
        f'{images} lacks 2 of the 3 images that {annotations} names, the first is val_1.JPEG'
    )
    assert not (folder / 'val.txt').exists()
