"""Damaged annotation files: an error that names the file, or mmdet can train and evaluate with it."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from broken_annotations import make_files
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, init_default_scope
from mmengine.structures import InstanceData
from pycocotools import mask as rle

from mmcednet.checks import check_data
from mmcednet.checks.coco_format import decompress

NUMBER = 200


@pytest.fixture
def content(shapes):
    """Polygons, and masks as run lengths."""
    content = json.loads((shapes / 'annotations' / 'train.json').read_text())
    disc = np.zeros((64, 64), np.uint8, order='F')
    disc[10:20, 5:40] = 1
    counts = rle.encode(disc)['counts'].decode()
    content['annotations'][0].update(segmentation=dict(size=[64, 64], counts=counts), iscrowd=1)
    content['annotations'][1].update(segmentation=dict(size=[64, 64], counts=[70, 26, 4000]), iscrowd=1)
    return content


@pytest.fixture
def cfg(root, shapes):
    """A training with masks, and an evaluation."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    load = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
    pipeline = [dict(type='LoadImageFromFile'), load, dict(type='RandomFlip', prob=0.5)]
    cfg.train_dataloader.dataset.pipeline = [*pipeline, dict(type='PackDetInputs')]
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        prefix = dict(img=f'{shapes}/train/')
        loader.dataset.update(data_root='', data_prefix=prefix, serialize_data=False)
    return cfg


@pytest.mark.slow
def test_damaged_files(cfg, content, tmp_path):
    outcomes = Counter()
    for index, damaged in enumerate(make_files(content, NUMBER)):
        path = tmp_path / f'{index}.json'
        path.write_bytes(damaged)
        for loader, use in (('train', train), ('val', evaluate)):
            dataset = cfg[f'{loader}_dataloader'].dataset
            dataset.ann_file = cfg.val_evaluator.ann_file = str(path)
            try:
                check_data(cfg, loader)
            except ValueError as error:
                assert str(path) in str(error)
                assert all(len(line) < 900 for line in str(error).splitlines())
                outcomes[loader, 'refused'] += 1
                continue
            use(dataset, path)
            outcomes[loader, 'accepted'] += 1
    print(outcomes)
    assert min(outcomes.values()) >= NUMBER // 10


def train(settings, path):
    dataset = DATASETS.build(settings)
    for index in range(len(dataset)):
        instances = dataset[index]['data_samples'].gt_instances
        assert instances.bboxes.tensor.isfinite().all()
        assert set(instances.labels.tolist()) <= {0, 1, 2, 3}


def evaluate(settings, path):
    """Evaluate a box in each image."""
    dataset = DATASETS.build(settings)
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(path), metric='bbox'))
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        box = InstanceData(
            bboxes=torch.tensor([[0.0, 0.0, 20.0, 20.0]]),
            scores=torch.ones(1),
            labels=torch.zeros(1).long(),
        )
        sample.pred_instances = box
        metric.process({}, [sample.to_dict()])
    assert metric.evaluate(len(dataset))


def test_content_is_valid(cfg, content, tmp_path):
    path = tmp_path / 'good.json'
    path.write_text(json.dumps(content))
    for loader, use in (('train', train), ('val', evaluate)):
        dataset = cfg[f'{loader}_dataloader'].dataset
        dataset.ann_file = cfg.val_evaluator.ann_file = str(path)
        check_data(cfg, loader)
        use(dataset, path)


def test_run_lengths_equal_pycocotools():
    random = np.random.RandomState(0)
    for scale in (1, 9):
        pixels = np.kron(random.rand(13, 21) < 0.4, np.ones((scale, scale))).astype(np.uint8)
        counts = decompress(rle.encode(np.asfortranarray(pixels))['counts'].decode())
        values = np.arange(len(counts)) % 2
        assert np.array_equal(np.repeat(values, counts), pixels.ravel('F'))
