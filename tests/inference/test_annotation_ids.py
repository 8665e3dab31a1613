"""Predictions with the ids of an annotation file, evaluated by pycocotools."""

import json
import re
import shutil
from pathlib import Path

import pytest
from code_blocks import read_code_blocks
from mmengine.registry import DefaultScope
from small_models import SHAPES, save_random_model

from mmcednet.checkpoints.publishing import publish
from mmcednet.inference.annotation_ids import read_ids
from mmcednet.inference.inputs import Source, find_sources
from mmcednet.inference.outputs import write_predictions
from mmcednet.inference.predict import load_predictor
from mmcednet.training import SeededDataset

CLASSES = ('star', 'disc', 'triangle', 'square')  # another order than the file's


@pytest.fixture
def ann_file(shapes, tmp_path):
    """The validation images, with class ids from 0, and ids of images that are no positions."""
    content = json.loads((shapes / 'annotations' / 'val.json').read_text())
    images = {image['id']: 1000 - 7 * image['id'] for image in content['images']}
    for image in content['images']:
        image.update(id=images[image['id']], file_name=f'val/{image["file_name"]}')
    for item in content['annotations']:
        item.update(image_id=images[item['image_id']], category_id=item['category_id'] - 1)
    for category in content['categories']:
        category['id'] -= 1
    path = tmp_path / 'val.json'
    path.write_text(json.dumps(content))
    return path


class Oracle:
    """A predictor that finds all objects, and numbers classes as mmcednet's detectors do."""

    classes = CLASSES

    def __init__(self, shapes):
        content = json.loads((shapes / 'annotations' / 'val.json').read_text())
        names = {category['id']: category['name'] for category in content['categories']}
        self.objects = {image['file_name']: [] for image in content['images']}
        files = {image['id']: image['file_name'] for image in content['images']}
        for item in content['annotations']:
            name = names[item['category_id']]
            entry = dict(
                category_id=CLASSES.index(name) + 1, category=name, bbox=item['bbox'], score=1.0
            )
            self.objects[files[item['image_id']]].append(entry)

    def predict(self, images):
        return [Path(path).name for path in images]

    def select(self, sample, score):
        return sample

    def reaches_limit(self, sample):
        return False

    def describe(self, sample):
        return [dict(entry) for entry in self.objects[sample]]

    def draw(self, image, sample, style):
        return image


@pytest.fixture
def compute_ap(root, ann_file, tmp_path, monkeypatch):
    """The example of the page, run where it expects the files."""
    (code,) = read_code_blocks(root / 'docs' / 'inference.md', 'python')
    monkeypatch.chdir(tmp_path)

    def run():
        names = {}
        exec(code, names)
        return names['evaluation'].stats[0]

    return run


def test_predictions_of_all_objects_have_an_ap_of_1(shapes, ann_file, tmp_path, compute_ap):
    sources = find_sources([str(shapes / 'val')])[::-1]
    ids = read_ids(ann_file, sources, CLASSES)
    write_predictions(Oracle(shapes), sources, tmp_path / 'predictions', 0.0, 1, ids)
    assert compute_ap() == 1
    shutil.rmtree(tmp_path / 'predictions')
    write_predictions(Oracle(shapes), sources, tmp_path / 'predictions', 0.0, 1)
    with pytest.raises(AssertionError, match='Results do not correspond to current coco set'):
        compute_ap()


def test_published_files_have_the_class_ids_of_the_training(root, ann_file, shapes, tmp_path):
    """A training's data set, as it is in a checkpoint's meta data; the class ids are 0 to 3."""
    config, base = tmp_path / 'config.py', root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'
    config.write_text(f'_base_ = {str(base)!r}\nmodel = dict(test_cfg=dict(score_thr=0.0))\n')
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = dict(
            type='CocoDataset',
            ann_file=str(ann_file),
            data_prefix=dict(img=str(shapes)),
            metainfo=dict(classes=SHAPES),
        )
        trained_on = SeededDataset(dict(type='RepeatDataset', times=2, dataset=dataset))
    save_random_model(config, tmp_path / 'a.pth', **trained_on.metainfo)
    path = publish(str(tmp_path / 'a.pth'), tmp_path / 'a.safetensors')
    predictor = load_predictor(str(config), str(path), 'cpu')
    write_predictions(predictor, find_sources([str(shapes / 'val')]), tmp_path / 'out', 0.0, 1)
    categories = json.loads(ann_file.read_text())['categories']
    entries = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    names = {category['id']: category['name'] for category in categories}
    assert {names[entry['category_id']] == entry['category'] for entry in entries} == {True}
    assert min(names) == 0


def test_a_path_is_found_before_a_name(ann_file):
    content = json.loads(ann_file.read_text())
    content['images'].append(dict(content['images'][0], id=5, file_name='00000.png'))
    ann_file.write_text(json.dumps(content))
    first = content['images'][0]
    for name, expected in (('00000.png', 5), ('val/00000.png', first['id'])):
        source = Source(Path('pictures') / name, name, name)
        assert read_ids(ann_file, [source], CLASSES).images == {name: expected}
    source = Source(Path('b/00000.png'), 'b/00000.png', 'b/00000')
    with pytest.raises(ValueError, match=r'has 2 images with the name of b/00000\.png'):
        read_ids(ann_file, [source], CLASSES)


def test_two_inputs_are_not_the_same_image(ann_file):
    names = ('val/00000.png', 'other/00000.png')
    sources = [Source(Path(name), name, name) for name in names]
    message = f'{ann_file} has the same image for val/00000.png and for other/00000.png'
    with pytest.raises(ValueError, match=re.escape(message)):
        read_ids(ann_file, sources, CLASSES)


def test_what_the_file_lacks_is_reported(shapes, ann_file, tmp_path, video):
    sources = find_sources([str(shapes / 'val')])
    with pytest.raises(ValueError, match=f"{ann_file} lacks the class 'cat'"):
        read_ids(ann_file, sources, (*CLASSES, 'cat'))
    with pytest.raises(ValueError, match='the checkpoint lacks the names of the classes'):
        read_ids(ann_file, sources, None)
    other = tmp_path / 'other.png'
    shutil.copy(sources[0].path, other)
    with pytest.raises(ValueError, match=f'{ann_file} has no images with the name of {other}'):
        read_ids(ann_file, find_sources([str(other)]), CLASSES)
    with pytest.raises(ValueError, match='is a video, whose frames'):
        read_ids(ann_file, find_sources([str(video)]), CLASSES)
