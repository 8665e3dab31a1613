"""Datasets that are missing or damaged are reported before a run starts."""

import json
import shutil

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmcednet.checks import check_data


@pytest.fixture
def cfg(root, shapes):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = str(shapes)
    cfg.val_evaluator.ann_file = str(shapes / 'annotations' / 'val.json')
    return cfg


def test_valid_dataset_passes(cfg):
    check_data(cfg, 'train', 'val')


def test_missing_image_folder(root, tmp_path):
    cfg = Config.fromfile(root / 'configs' / 'imagenet' / 'cednet_t.py')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    with pytest.raises(ValueError, match=rf'the image folder {tmp_path}/train does not exist'):
        check_data(cfg, 'train')
    (tmp_path / 'train').mkdir()
    check_data(cfg, 'train')


NO_CATEGORIES = json.dumps(dict(images=[dict(id=1, file_name='00000.png')]))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, r'bad\.json does not exist'),
        ('', r'bad\.json is not valid JSON'),
        ('{"images": [', r'bad\.json is not valid JSON'),
        ('[]', r'bad\.json has no images or no categories'),
        ('{}', r'bad\.json has no images or no categories'),
        (NO_CATEGORIES, r'bad\.json has no images or no categories'),
        (dict(annotations=[]), r'bad\.json has no annotations'),
        (dict(categories=[dict(id=1, name='cat')]), r"none of the classes \('disc'"),
        (
            dict(images=[dict(id=i, file_name=f'{i}.png') for i in range(3)]),
            r'^3 images of .*bad\.json do not exist, the first is .*train/0\.png',
        ),
    ],
)
def test_invalid_annotation_files(cfg, shapes, tmp_path, content, message):
    """The file is missing, has this text, or is a valid one with these changes."""
    path = tmp_path / 'bad.json'
    if isinstance(content, dict):
        good = json.loads((shapes / 'annotations' / 'train.json').read_text())
        content = json.dumps({**good, **content})
    if content is not None:
        path.write_text(content)
    cfg.train_dataloader.dataset.ann_file = str(path)
    with pytest.raises(ValueError, match=message):
        check_data(cfg, 'train')


def test_wrapped_datasets_are_checked(cfg, tmp_path):
    inner = cfg.train_dataloader.dataset.to_dict()
    broken = dict(inner, ann_file=str(tmp_path / 'absent.json'))
    for wrapper in (
        dict(type='PairedDataset', dataset=broken, pipeline=[]),
        dict(type='ConcatDataset', datasets=[inner, broken]),
    ):
        cfg.train_dataloader.dataset = wrapper
        with pytest.raises(ValueError, match=r'absent\.json does not exist'):
            check_data(cfg, 'train')


def test_masks_of_a_single_class_given_as_a_string(cfg, shapes, tmp_path):
    """Objects of other classes need none, even if a name is a part of the string."""
    content = json.loads((shapes / 'annotations' / 'train.json').read_text())
    content['categories'].append(dict(id=9, name='is'))
    other = dict(content['annotations'][0], id=999, category_id=9)
    content['annotations'].append({k: v for k, v in other.items() if k != 'segmentation'})
    path = tmp_path / 'masks.json'
    path.write_text(json.dumps(content))
    cfg.train_dataloader.dataset.update(ann_file=str(path), metainfo=dict(classes='disc'))
    cfg.train_dataloader.dataset.pipeline = [dict(type='LoadAnnotations', with_mask=True)]
    check_data(cfg, 'train')


def test_masks_that_the_pipeline_would_ignore(cfg, shapes, tmp_path):
    content = json.loads((shapes / 'annotations' / 'train.json').read_text())
    content['annotations'][1].update(segmentation=dict(size=[64, 64], counts=[4096]), iscrowd=1)
    path = tmp_path / 'masks.json'
    dataset = cfg.train_dataloader.dataset
    dataset.ann_file = str(path)
    load = dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False)
    dataset.pipeline = [dict(type='LoadImageFromFile'), load]
    path.write_text(json.dumps(content))
    check_data(cfg, 'train')  # crowds are ignored in any case
    content['annotations'][1]['iscrowd'] = 0
    path.write_text(json.dumps(content))
    number = content['annotations'][1]['id']
    with pytest.raises(ValueError, match=rf'masks\.json: the mask of annotation {number} is not a'):
        check_data(cfg, 'train')
    load['poly2mask'] = True
    dataset.pipeline = [load]
    check_data(cfg, 'train')


def test_objects_without_masks(cfg, shapes, tmp_path):
    content = json.loads((shapes / 'annotations' / 'train.json').read_text())
    del content['annotations'][1]['segmentation']
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(content))
    dataset = cfg.train_dataloader.dataset
    dataset.ann_file = str(path)
    check_data(cfg, 'train')
    dataset.pipeline = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
    number = content['annotations'][1]['id']
    with pytest.raises(ValueError, match=rf'boxes\.json: annotation {number} has no segmentation'):
        check_data(cfg, 'train')


def test_evaluation_needs_iscrowd(cfg, shapes, tmp_path):
    content = json.loads((shapes / 'annotations' / 'val.json').read_text())
    item = content['annotations'][1]
    item.pop('iscrowd')
    path = tmp_path / 'val.json'
    path.write_text(json.dumps(content))
    cfg.val_dataloader.dataset.ann_file = str(path)
    with pytest.raises(ValueError, match=rf'annotation {item["id"]}: its iscrowd None must be 0 or 1'):
        check_data(cfg, 'val')


def test_test_images_without_annotations_need_sizes(cfg, shapes, tmp_path):
    content = json.loads((shapes / 'annotations' / 'val.json').read_text())
    del content['annotations']
    path = tmp_path / 'val.json'
    path.write_text(json.dumps(content))
    cfg.val_dataloader.dataset.ann_file = cfg.val_evaluator.ann_file = str(path)
    with pytest.raises(ValueError, match=r'val\.json has no annotations'):
        check_data(cfg, 'val')
    cfg.val_evaluator.format_only = True
    check_data(cfg, 'val')
    del content['images'][0]['width']
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='its width and height must be positive numbers'):
        check_data(cfg, 'val')


@pytest.mark.parametrize('encoding', ['utf-16', 'utf-8-sig', 'latin-1'])
def test_other_encodings(cfg, shapes, tmp_path, encoding):
    """pycocotools cannot read them."""
    path = tmp_path / 'bad.json'
    text = (shapes / 'annotations' / 'train.json').read_text().replace('"disc"', '"d\xefsc"')
    path.write_text(text, encoding=encoding)
    cfg.train_dataloader.dataset.ann_file = str(path)
    with pytest.raises(ValueError, match=r'bad\.json is not valid JSON'):
        check_data(cfg, 'train')


@pytest.fixture
def classifier(single_shapes):
    def load(split):
        pipeline = [dict(type='LoadImageFromFile')]
        dataset = dict(type='CustomDataset', data_root=str(single_shapes), data_prefix=split)
        return dict(dataset=dict(dataset, pipeline=pipeline))

    return Config(dict(train_dataloader=load('train'), val_dataloader=load('val')))


def test_images_of_class_folders_are_read(classifier, single_shapes):
    """As those of detectors are: 16 bits of which 8 would keep nothing."""
    check_data(classifier, 'train', 'val')
    for path in (single_shapes / 'val').rglob('*.png'):
        cv2.imwrite(str(path), np.full((8, 8), 100, np.uint16))
    with pytest.raises(ValueError, match=r'val: .*\.png has 16 bits per channel'):
        check_data(classifier, 'train', 'val')


def test_lists_of_images_in_one_folder_are_of_no_two_splits(classifier, single_shapes, log):
    for split, name in (('train', 'a.txt'), ('val', 'b.txt')):
        (single_shapes / name).touch()
        classifier[f'{split}_dataloader'].dataset.update(ann_file=name, data_prefix='train')
    check_data(classifier, 'train', 'val')
    assert not log.messages


def test_class_folders_that_are_of_two_splits(classifier, single_shapes, log):
    shutil.rmtree(single_shapes / 'val')
    (single_shapes / 'val').symlink_to('train')
    check_data(classifier, 'train', 'val')
    assert log.messages[0].startswith('8 images are in the training and in the val data')


def test_a_split_that_is_both_training_and_validation(classifier, log):
    classifier.val_dataloader = classifier.train_dataloader
    check_data(classifier, 'train', 'val')
    assert log.messages[0].startswith('8 images are in the training and in the val data')


@pytest.mark.parametrize(
    'dataset',
    [
        dict(type='CIFAR10', data_root='absent', split='train'),
        dict(type='mmpretrain.CUB', data_root='absent', split='test'),
        dict(type='MultiLabelDataset', ann_file='list.json'),
        dict(type='mmpretrain.MultiLabelDataset', ann_file='list.json'),
        dict(type='LVISV1Dataset', ann_file='list.json', test_mode=True),
    ],
)
def test_files_of_other_formats_only_have_to_exist(dataset, tmp_path, monkeypatch):
    """Datasets with a split know where their files are; LVIS's have no file names."""
    monkeypatch.chdir(tmp_path)
    content = dict(images=[dict(id=1, coco_url='http://x/1.jpg')], categories=[], data_list=[])
    (tmp_path / 'list.json').write_text(json.dumps(content))
    cfg = Config(dict(train_dataloader=dict(dataset=dict(dataset, pipeline=[]))))
    if 'ann_file' in dataset:
        cfg.train_dataloader.dataset.data_root = str(tmp_path)
    check_data(cfg, 'train')
    if 'ann_file' in dataset:
        (tmp_path / 'list.json').unlink()
        with pytest.raises(ValueError, match=r'list\.json does not exist'):
            check_data(cfg, 'train')


def test_unlabelled_images(cfg, shapes, tmp_path):
    """As the second dataset of mmdet's semi-supervised detectors."""
    content = json.loads((shapes / 'annotations' / 'train.json').read_text())
    path = tmp_path / 'unlabelled.json'
    path.write_text(json.dumps(dict(content, annotations=[])))
    dataset = cfg.train_dataloader.dataset
    dataset.update(ann_file=str(path), data_root='', data_prefix=dict(img=str(shapes / 'train')))
    with pytest.raises(ValueError, match=r'unlabelled\.json has no annotations'):
        check_data(cfg, 'train')
    dataset.pipeline = [dict(type='LoadImageFromFile'), dict(type='mmdet.LoadEmptyAnnotations')]
    check_data(cfg, 'train')


def test_other_datasets_are_not_checked():
    check_data(Config(dict(train_dataloader=dict(dataset=dict(type='ADE20KDataset')))), 'train')
    check_data(Config(dict()), 'train', 'val')
