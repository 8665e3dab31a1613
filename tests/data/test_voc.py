"""Conversion of Pascal VOC: real annotations against mmdet's reader, and broken ones."""

import shutil

import numpy as np
import pytest

from mmcednet.data.voc import convert_voc


def test_boxes_are_those_that_mmdet_reads(bccd):
    from mmdet.datasets import XMLDataset

    splits = convert_voc(bccd)
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


def test_without_lists_a_share_becomes_val(bccd):
    shutil.rmtree(bccd / 'ImageSets')
    splits = convert_voc(bccd, val_share=0.25)
    assert {split: len(content['images']) for split, content in splits.items()} == dict(train=15, val=5)
    names = {image['file_name'] for content in splits.values() for image in content['images']}
    assert len(names) == 20
    assert convert_voc(bccd, val_share=0.25) == splits


def test_xml_files_beside_png_images(bccd, tmp_path):
    import cv2

    folder = tmp_path / 'flat'
    folder.mkdir()
    for path in sorted((bccd / 'JPEGImages').iterdir())[:4]:
        cv2.imwrite(str(folder / f'{path.stem}.png'), cv2.imread(str(path)))
        shutil.copy(bccd / 'Annotations' / f'{path.stem}.xml', folder)
    train, val = convert_voc(folder, val_share=0.25).values()
    assert len(train['images']) == 3 and val['images'][0]['file_name'].endswith('.png')


def test_difficult_objects_are_crowds(bccd):
    name = (bccd / 'ImageSets' / 'Main' / 'val.txt').read_text().split()[0]
    path = bccd / 'Annotations' / f'{name}.xml'
    text = path.read_text()
    path.write_text(text.replace('<difficult>0</difficult>', '<difficult>1</difficult>', 1))
    crowds = [
        item['iscrowd'] for item in convert_voc(bccd)['val']['annotations'] if item['image_id'] == 1
    ]
    assert crowds == [1] + [0] * (text.count('<object>') - 1)


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
    ],
    ids=['damaged', 'missing', 'no-image', 'no-number'],
)
def test_errors_name_the_file(bccd, damage, message):
    name = (bccd / 'ImageSets' / 'Main' / 'train.txt').read_text().split()[3]
    damage(bccd, bccd / 'Annotations' / f'{name}.xml')
    with pytest.raises(ValueError, match=message.format(name=name)):
        convert_voc(bccd)


def test_a_folder_without_xml_files_is_reported(tmp_path):
    with pytest.raises(ValueError, match=f'{tmp_path} has no XML files'):
        convert_voc(tmp_path)
