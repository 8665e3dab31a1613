"""Splitting and writing annotation files in COCO's format."""

import json

import pytest

from mmcednet.checks.coco_format import read_coco
from mmcednet.data.coco_files import check_unsplit, fill_supercategories, split_coco, write_splits


@pytest.fixture
def content(shapes):
    return read_coco(shapes / 'annotations' / 'train.json')


def test_split_keeps_every_object_with_its_image(content):
    splits = split_coco(content, 0.34)
    assert {split: len(part['images']) for split, part in splits.items()} == dict(train=4, val=2)
    for key in ('images', 'annotations'):
        parts = [item for part in splits.values() for item in part[key]]
        assert sorted(parts, key=lambda item: item['id']) == content[key]
    for part in splits.values():
        ids = {image['id'] for image in part['images']}
        assert {item['image_id'] for item in part['annotations']} <= ids
        assert part['categories'] == fill_supercategories(content)['categories']
    assert split_coco(content, 0.34) == splits


def test_categories_get_the_supercategory_that_they_lack(content):
    first, *others = [dict(category, supercategory='mine') for category in content['categories']]
    content['categories'] = [{key: first[key] for key in ('id', 'name')}, *others]
    for part in [fill_supercategories(content), *split_coco(content, 0.34).values()]:
        assert part['categories'] == [dict(first, supercategory='none'), *others]
    assert 'supercategory' not in content['categories'][0]


@pytest.mark.parametrize('share', [0.0, 0.01, 1.0])
def test_a_split_without_images_is_reported(content, share):
    with pytest.raises(ValueError, match=f'a share of {share} of 6 images leaves none'):
        split_coco(content, share)


def test_missing_ids_are_reported(content):
    item, image = content['annotations'][1], content['images'][1]
    del item['image_id']
    with pytest.raises(ValueError, match=f'annotation {item["id"]} has no image_id, the id'):
        split_coco(content, 0.34)
    del image['id']
    with pytest.raises(ValueError, match=f'the image {image["file_name"]} has no id'):
        split_coco(content, 0.34)


def test_existing_files_are_kept(content, tmp_path, capsys):
    (tmp_path / 'val.json').write_text('mine')
    splits = split_coco(content, 0.34)
    with pytest.raises(ValueError, match=r'val\.json exists already'):
        write_splits(splits, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['val.json']
    assert (tmp_path / 'val.json').read_text() == 'mine'
    write_splits(splits, tmp_path / 'new')
    assert json.loads((tmp_path / 'new' / 'val.json').read_text()) == splits['val']
    assert f'val.json: 2 images, {len(splits["val"]["annotations"])} objects' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['train.json', 'instances_val2017.json'])
def test_part_of_a_data_set_is_not_split(name, tmp_path):
    with pytest.raises(
        ValueError, match=rf'{name} has the name of a part, .*move it to .*all\.json and'
    ):
        check_unsplit(tmp_path / name)


def test_names_of_no_part(tmp_path):
    check_unsplit(tmp_path / 'train' / '_annotations.coco.json')  # its folder is one of images
    check_unsplit(tmp_path / 'latest.json')
