"""Conversion of Pascal VOC: real annotations against mmdet's reader, and broken ones."""

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from mmcednet.data.conversion import build_coco, write_conversion
from mmcednet.data.voc import convert_voc


def convert(folder, **settings):
    conversion = convert_voc(folder, **settings)
    return {
        split: build_coco(images, conversion.classes) for split, images in conversion.images.items()
    }


def read_list(folder, split):
    return (folder / 'ImageSets' / 'Main' / f'{split}.txt').read_text().split()


def write_list(folder, name, names):
    (folder / 'ImageSets' / 'Main' / f'{name}.txt').write_text('\n'.join(names))


def get_stems(conversion):
    return {
        split: [Path(image.file_name).stem for image in images]
        for split, images in conversion.images.items()
    }


def test_boxes_are_those_that_mmdet_reads(bccd):
    from mmdet.datasets import XMLDataset

    splits = convert(bccd)
    assert [len(content['images']) for content in splits.values()] == [12, 4, 4]
    for split, content in splits.items():
        classes = tuple(category['name'] for category in content['categories'])
        assert classes == ('Platelets', 'RBC', 'WBC')
        reference = XMLDataset(
            data_root=str(bccd),
            ann_file=f'ImageSets/Main/{split}.txt',
            data_prefix=dict(sub_data_root=''),
            metainfo=dict(classes=classes),
            img_subdir='JPEGImages',
        )
        assert len(reference) == len(content['images'])
        for image, expected in zip(content['images'], reference.load_data_list()):
            assert (image['width'], image['height']) == (expected['width'], expected['height'])
            assert (bccd / image['file_name']).samefile(expected['img_path'])
            objects = [item for item in content['annotations'] if item['image_id'] == image['id']]
            ours = np.array([[*item['bbox'], item['category_id'] - 1] for item in objects])
            ours[:, 2:4] += ours[:, :2]
            theirs = [[*item['bbox'], item['bbox_label']] for item in expected['instances']]
            np.testing.assert_array_equal(ours, np.clip(theirs, 0, None))


def test_folders_in_lower_case(bccd):
    splits = convert(bccd)
    for name in ('Annotations', 'ImageSets/Main', 'ImageSets', 'JPEGImages'):
        (bccd / name).rename(bccd / Path(name).parent / Path(name).name.lower())
    lower = convert(bccd)
    for split, content in splits.items():
        for image in content['images']:
            image['file_name'] = image['file_name'].replace('JPEGImages', 'jpegimages')
        assert lower[split] == content


def test_without_lists_a_share_becomes_val(bccd):
    shutil.rmtree(bccd / 'ImageSets')
    splits = convert(bccd, val_share=0.25)
    assert {split: len(content['images']) for split, content in splits.items()} == dict(train=15, val=5)
    names = {image['file_name'] for content in splits.values() for image in content['images']}
    assert len(names) == 20
    assert convert(bccd, val_share=0.25) == splits


def test_xml_files_beside_png_images(bccd, tmp_path):
    import cv2

    folder = tmp_path / 'flat'
    folder.mkdir()
    for path in sorted((bccd / 'JPEGImages').iterdir())[:4]:
        cv2.imwrite(str(folder / f'{path.stem}.png'), cv2.imread(str(path)))
        shutil.copy(bccd / 'Annotations' / f'{path.stem}.xml', folder)
    train, val = convert(folder, val_share=0.25).values()
    assert len(train['images']) == 3 and val['images'][0]['file_name'].endswith('.png')


def test_difficult_objects_are_crowds(bccd):
    name = (bccd / 'ImageSets' / 'Main' / 'val.txt').read_text().split()[0]
    path = bccd / 'Annotations' / f'{name}.xml'
    text = path.read_text()
    path.write_text(text.replace('<difficult>0</difficult>', '<difficult>1</difficult>', 1))
    crowds = [item['iscrowd'] for item in convert(bccd)['val']['annotations'] if item['image_id'] == 1]
    assert crowds == [1] + [0] * (text.count('<object>') - 1)


def test_trainval_is_divided_and_test_images_are_not_trained_on(bccd):
    train, val, test = (read_list(bccd, split) for split in ('train', 'val', 'test'))
    write_list(bccd, 'trainval', train + val)
    (bccd / 'ImageSets' / 'Main' / 'train.txt').unlink()
    # val is known: the rest of trainval is train
    assert get_stems(convert_voc(bccd)) == dict(train=train, val=val, test=test)
    (bccd / 'ImageSets' / 'Main' / 'val.txt').unlink()
    conversion = convert_voc(bccd, val_share=0.25)
    stems = get_stems(conversion)
    assert stems['test'] == test and len(stems['val']) == 4
    assert sorted(stems['train'] + stems['val']) == sorted(train + val)
    assert conversion.notes == [
        'there is no list val.txt: 4 images of trainval.txt, at random, are val'
    ]


def test_lists_of_other_names(bccd):
    lists = bccd / 'ImageSets' / 'Main'
    train, val, test = (read_list(bccd, split) for split in ('train', 'val', 'test'))
    (lists / 'val.txt').rename(lists / 'validation.txt')
    write_list(bccd, 'RBC_train', [f'{name}  1' for name in train[:-1]] + [f'{train[-1]} -1'])
    write_list(bccd, 'hard', val)
    conversion = convert_voc(bccd)
    assert get_stems(conversion) == dict(train=train, val=val, test=test)
    assert conversion.notes == ['the list ImageSets/Main/hard.txt is not used: its name says no split']
    write_list(bccd, 'test', test[1:])
    assert (
        f'1 XML files are in no list that is used, so that they are left out; the first is {bccd}'
        in (convert_voc(bccd).notes[-1])
    )


@pytest.mark.parametrize(
    ('lists', 'message'),
    [
        (dict(default=[0, 1]), r'has the lists ImageSets/Main/default.txt, whose names say no split'),
        (dict(val=[0], test=[1]), r'lists for test and val, but neither train.txt nor trainval.txt'),
        (dict(train=[0, 1], val=[1, 2]), "1 images are in the lists of both 'train' and 'val'"),
        (dict(train=[0, 0], val=[1]), "is twice in the list of the split 'train'"),
        (dict(train=[0], val=[]), "the list of the split 'val' has no names"),
        (dict(train=[0], val=[1], valid=[1]), "has two lists for 'val', keep one"),
    ],
    ids=['default', 'no-train', 'both', 'twice', 'empty', 'two'],
)
def test_lists_that_cannot_be_used_are_reported(bccd, lists, message):
    names = read_list(bccd, 'train')
    shutil.rmtree(bccd / 'ImageSets')
    (bccd / 'ImageSets' / 'Main').mkdir(parents=True)
    for name, indices in lists.items():
        write_list(bccd, name, [names[index] for index in indices])
    with pytest.raises(ValueError, match=message):
        convert_voc(bccd)


def test_splits_by_folder(bccd):
    """As Roboflow exports them: images and XML files together."""
    expected = get_stems(convert_voc(bccd))
    for split, names in expected.items():
        folder = bccd / ('valid' if split == 'val' else split)
        folder.mkdir()
        for name in names:
            (bccd / 'Annotations' / f'{name}.xml').rename(folder / f'{name}.xml')
            (bccd / 'JPEGImages' / f'{name}.jpg').rename(folder / f'{name}.jpg')
    shutil.rmtree(bccd / 'ImageSets')
    (bccd / 'Annotations').rmdir()
    assert get_stems(convert_voc(bccd)) == {split: sorted(names) for split, names in expected.items()}


def test_sizes_of_0_are_read_from_the_image(bccd):
    expected = convert(bccd)
    for path in (bccd / 'Annotations').iterdir():
        root = ET.parse(path)
        for key in ('width', 'height'):
            root.find(f'size/{key}').text = '0'
        root.write(path)
    assert convert(bccd) == expected


def test_every_object_is_written_or_named(bccd, capsys):
    name = read_list(bccd, 'val')[0]
    path = bccd / 'Annotations' / f'{name}.xml'
    root = ET.parse(path)
    objects = root.findall('object')
    objects[0].find('bndbox/xmax').text = objects[0].find('bndbox/xmin').text
    objects[1].remove(objects[1].find('bndbox'))
    objects[2].find('name').text = ''
    root.write(path)
    number = sum(len(ET.parse(file).findall('object')) for file in (bccd / 'Annotations').glob('*.xml'))
    write_conversion(convert_voc(bccd), bccd / 'coco')
    shown = capsys.readouterr().out
    assert f'left out of {path}: object 1 ({objects[0].findtext("name")}), as its box (' in shown
    assert 'has no area within the image of 640x480 px' in shown
    assert f'left out of {path}: object 2 ({objects[1].findtext("name")}), as it has no box' in shown
    assert f'left out of {path}: object 3 (), as it has no class' in shown
    assert shown.endswith(f'{number} objects read: {number - 3} written, 3 left out\n')


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda folder, path: path.write_text('<annotation>'), r'{name}.xml is not an annotation file'),
        (lambda folder, path: path.unlink(), r'the annotation file .*{name}.xml does not exist'),
        (
            lambda folder, path: (folder / 'JPEGImages' / f'{path.stem}.jpg').unlink(),
            'the image {name}',
        ),
        (
            lambda folder, path: path.write_text(path.read_text().replace('<xmin>', '<xmin>a', 1)),
            r'{name}.xml is not an annotation file of Pascal VOC: could not convert',
        ),
        (
            lambda folder, path: path.write_text(path.read_text().replace('>640<', '>320<', 1)),
            r'{name}.xml is of an image of 320x480 px, but .*{name}.jpg has 640x480; its boxes',
        ),
    ],
    ids=['damaged', 'missing', 'no-image', 'no-number', 'size'],
)
def test_errors_name_the_file(bccd, damage, message):
    name = (bccd / 'ImageSets' / 'Main' / 'train.txt').read_text().split()[3]
    damage(bccd, bccd / 'Annotations' / f'{name}.xml')
    with pytest.raises(ValueError, match=message.format(name=name)):
        convert_voc(bccd)


def test_of_two_images_the_stated_one_is_taken(bccd):
    name = read_list(bccd, 'train')[0]
    image = bccd / 'JPEGImages' / f'{name}.jpg'
    shutil.copy(image, image.with_suffix('.png'))
    assert convert(bccd)['train']['images'][0]['file_name'] == f'JPEGImages/{name}.jpg'
    path = bccd / 'Annotations' / f'{name}.xml'
    path.write_text(path.read_text().replace(f'{name}.jpg', ''))
    with pytest.raises(ValueError, match=f'{name}.jpg and .*{name}.png have one annotation file'):
        convert_voc(bccd)


def test_a_folder_without_xml_files_is_reported(tmp_path):
    with pytest.raises(ValueError, match=f'{tmp_path} has no XML files'):
        convert_voc(tmp_path)


def test_annotations_of_the_same_image(bccd, tmp_path):
    """In the folders of two splits."""
    folder = tmp_path / 'data'
    paths = sorted((bccd / 'Annotations').glob('*.xml'))[:2]
    for split, path in zip(('train', 'val'), paths[:1] * 2):
        (folder / 'Annotations' / split).mkdir(parents=True)
        shutil.copy(path, folder / 'Annotations' / split)
    shutil.copytree(bccd / 'JPEGImages', folder / 'JPEGImages')
    with pytest.raises(ValueError, match=r'2 annotation files are of the image .*\.jpg; keep one'):
        write_conversion(convert_voc(folder), folder)
    assert not list(folder.glob('*.json'))
