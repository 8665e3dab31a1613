"""What a folder is annotated for, as it is laid out."""

import shutil

import pytest
from label_maps import draw_label_maps
from mmengine.config import Config

from mmcednet.own_data.new_config import write_new_config
from mmcednet.own_data.recognition import recognise_scope


def test_annotations_are_recognised(shapes, single_shapes, bccd, tmp_path):
    assert recognise_scope(shapes).value == 'mmdet'  # although it has label maps, too
    assert recognise_scope(single_shapes).value == 'mmpretrain'
    assert recognise_scope(bccd).value == 'mmdet'  # to be converted
    for layout in ('annotations', 'ann_dir', 'masks'):
        folder = tmp_path / layout
        draw_label_maps(folder)
        (folder / 'annotations').rename(folder / layout)
        assert recognise_scope(folder).value == 'mmseg'
    (folder / 'masks' / 'train').rename(folder / 'images' / 'other')
    with pytest.raises(ValueError, match=r'the folder .*nowhere does not exist'):
        recognise_scope(tmp_path / 'nowhere')


def test_folders_of_images_and_masks_are_no_classes(single_shapes):
    for split in ('train', 'val'):
        for name, new in (('disc', 'images'), ('square', 'masks')):
            (single_shapes / split / name).rename(single_shapes / split / new)
        for name in ('star', 'triangle'):
            shutil.rmtree(single_shapes / split / name)
    assert recognise_scope(single_shapes).value == 'mmdet'


def move_up(data):
    """Folders of classes without splits."""
    for path in [*(data / 'train').iterdir()]:
        path.rename(data / path.name)
    shutil.rmtree(data / 'train')
    shutil.rmtree(data / 'val')


def move_to_one_folder(data):
    """The images for validation, as in Tiny ImageNet."""
    (data / 'val' / 'images').mkdir()
    lines = []
    for path in [*(data / 'val').glob('*/*.png')]:
        lines.append(f'{path.name}\t{path.parent.name}\t0\t0\t62\t62\n')
        path.rename(data / 'val' / 'images' / path.name)
    for path in (data / 'train').iterdir():
        (data / 'val' / path.name).rmdir()
    (data / 'val' / 'val_annotations.txt').write_text(''.join(lines))


def keep_one_class(data):
    for split in ('train', 'val'):
        for name in ('square', 'star', 'triangle'):
            shutil.rmtree(data / split / name)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (move_up, 'has no images for validation; choose some with mmcednet split-images'),
        (lambda data: shutil.rmtree(data / 'val'), "no images for 'val'; expected val/CLASS/IMAGE"),
        (lambda data: shutil.rmtree(data / 'val' / 'star'), "'star' is in only one of them"),
        (keep_one_class, 'must have a folder for each of 2 classes or more, it has 1'),
        (lambda data: (data / 'train').rename(data / 'Train'), "no images for 'train'; expected train"),
        (
            move_to_one_folder,
            r'val_annotations\.txt is of Tiny ImageNet: convert it with mmcednet tiny-imagenet \S+ '
            r'\(tools/.*tiny_imagenet\.py\), and train configs/imagenet/cednet_nano_tiny_imagenet\.py',
        ),
    ],
    ids=['splits', 'val', 'class', 'one', 'case', 'Tiny ImageNet'],
)
def test_folders_of_classes_with_errors(single_shapes, root, tmp_path, change, message):
    """The error is that of a classifier, without --framework."""
    change(single_shapes)
    with pytest.raises(ValueError, match=message):
        write_new_config(single_shapes, None, 'nano', tmp_path / 'my.py', root / 'configs')


def test_a_json_file_in_the_folder_of_a_class(single_shapes, shapes):
    path = single_shapes / 'train' / 'disc' / 'meta.json'
    path.write_text('{"camera": "A"}')
    assert recognise_scope(single_shapes).value == 'mmpretrain'
    shutil.copy(shapes / 'annotations' / 'train.json', path)
    assert recognise_scope(single_shapes).value == 'mmdet'


def test_other_folders_of_images_are_no_classes(bccd, shapes, tmp_path):
    """Pascal VOC with a second folder of images, and images without a format."""
    shutil.copytree(bccd / 'JPEGImages', bccd / 'Copies')
    assert recognise_scope(bccd).value == 'mmdet'
    for name in ('images', 'train2017', 'val2017'):
        shutil.copytree(shapes / 'val', tmp_path / 'data' / name)
    assert recognise_scope(tmp_path / 'data').value == 'mmdet'


def test_label_maps_without_a_framework(tmp_path, root):
    folder = tmp_path / 'data'
    draw_label_maps(folder)
    draft = write_new_config(folder, None, 'nano', tmp_path / 'my.py', root / 'configs')
    assert draft.reasons[0] == ('framework', 'upernet', 'there are label maps')
    assert Config.fromfile(tmp_path / 'my.py').model.decode_head.num_classes == 2


def test_label_maps_beside_a_json_file_of_a_split(tmp_path, root):
    folder, configs = tmp_path / 'data', root / 'configs'
    draw_label_maps(folder)
    (folder / 'train_cameras.json').write_text('{}')
    with pytest.raises(ValueError, match=r'it has label maps: use --framework upernet$'):
        write_new_config(folder, None, 'nano', tmp_path / 'my.py', configs)
    draft = write_new_config(folder, 'upernet', 'nano', tmp_path / 'my.py', configs)
    assert draft.scope == 'mmseg'
