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
